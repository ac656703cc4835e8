// grpc::ByteBuffer <-> spans, without copying.
#ifndef ATTN_SERVER_TRANSPORT_BYTE_BUFFER_H_
#define ATTN_SERVER_TRANSPORT_BYTE_BUFFER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/slice.h"
#include "server/transport/wire_tensors.h"

namespace attn {

// The slices of a received message. Owns references to them; spans() stay valid while it lives,
// moves included. Not copyable: spans of short slices point into it.
class ReceivedMessage {
 public:
  ReceivedMessage(ReceivedMessage&&) = default;
  ReceivedMessage& operator=(ReceivedMessage&&) = default;

  // INVALID_ARGUMENT if gRPC cannot give its slices (a message that fails to decompress).
  static absl::StatusOr<ReceivedMessage> Take(const grpc::ByteBuffer& buffer);

  std::span<const ByteSpan> spans() const { return spans_; }
  int64_t size() const { return size_; }

 private:
  ReceivedMessage() = default;

  std::vector<grpc::Slice> slices_;
  std::vector<ByteSpan> spans_;
  int64_t size_ = 0;
};

// A message made of pieces. Payloads are referenced, not copied; `owner` is released when gRPC has
// sent the last of them.
grpc::ByteBuffer ToByteBuffer(const std::vector<WirePiece>& pieces,
                              std::shared_ptr<const void> owner);

}  // namespace attn

#endif  // ATTN_SERVER_TRANSPORT_BYTE_BUFFER_H_
