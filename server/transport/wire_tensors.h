// Protobuf messages whose tensors' payloads protobuf never touches.
//
// An AttendRequest or AttendResponse is small fields plus `repeated Tensor` whose `data` is large.
// Reading: one pass over the received slices sets the small fields' bytes aside for generated
// protobuf and leaves each payload where it lies. Writing: generated protobuf writes the small
// fields, and each payload is spliced in by reference. On the wire it is plain protobuf.
#ifndef ATTN_SERVER_TRANSPORT_WIRE_TENSORS_H_
#define ATTN_SERVER_TRANSPORT_WIRE_TENSORS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn {

using ByteSpan = std::span<const std::byte>;

// Number of the field `tensors` of AttendRequest and `outputs` of AttendResponse.
inline constexpr int kTensorsField = 32;

// Bounds on what is copied while reading: the small fields of one message, and of one tensor.
inline constexpr int64_t kMaxSmallFieldBytes = int64_t{1} << 20;
inline constexpr int64_t kMaxTensorHeaderBytes = 4096;

struct WireTensor {
  attention::v1::Tensor header;   // Without `data`.
  std::vector<ByteSpan> payload;  // Pieces of the message, in order; borrowed.
  int64_t payload_bytes = 0;
};

struct WireMessage {
  std::string small_fields;  // Serialised message without its tensors.
  std::vector<WireTensor> tensors;
};

// Reads a message given as consecutive slices, which stay alive as long as the result's payloads
// are used. INVALID_ARGUMENT if it is not well-formed protobuf or exceeds a bound; the text says
// at which byte. Accepts exactly what generated protobuf accepts (fields in any order, repeated
// singular fields: the last wins), except groups.
absl::StatusOr<WireMessage> SplitTensors(std::span<const ByteSpan> slices);

// The opposite, as a list of pieces: `head` bytes go before the payload of the tensor, the last
// piece has none. Concatenated they are the message.
struct WirePiece {
  std::string head;
  ByteSpan payload;
};
std::vector<WirePiece> JoinTensors(const google::protobuf::MessageLite& small_fields,
                                   std::span<const WireTensor> tensors);

}  // namespace attn

#endif  // ATTN_SERVER_TRANSPORT_WIRE_TENSORS_H_
