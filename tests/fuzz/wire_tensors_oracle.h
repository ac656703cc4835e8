// Does the hand-written reader agree with generated protobuf?
#ifndef ATTN_TESTS_FUZZ_WIRE_TENSORS_ORACLE_H_
#define ATTN_TESTS_FUZZ_WIRE_TENSORS_ORACLE_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/transport/wire_tensors.h"

namespace attn {

// A message cut into slices, each in a heap block of exactly its size, so that AddressSanitizer
// sees a read beyond any of them.
class SlicedMessage {
 public:
  // Slices take the sizes in turn, starting over until the message is used up. Zero is an empty
  // slice; one of the sizes is not zero.
  SlicedMessage(const std::string& bytes, std::span<const size_t> sizes);

  std::span<const ByteSpan> slices() const { return slices_; }

 private:
  std::vector<std::vector<std::byte>> blocks_;
  std::vector<ByteSpan> slices_;
};

std::string Concatenate(std::span<const ByteSpan> pieces);
std::string Concatenate(std::span<const WirePiece> pieces);

// Everything observable of a result, payloads joined: equal iff two results mean the same.
std::string Describe(const absl::StatusOr<WireMessage>& result);

// Reads `bytes` as an AttendRequest with SplitTensors and with generated protobuf. Empty if both
// accept with equal content, which JoinTensors restores, or both refuse; else what differs. Groups
// outside small fields and the bounds on size and count may be refused by SplitTensors alone.
std::string FindDisagreement(const std::string& bytes);

}  // namespace attn

#endif  // ATTN_TESTS_FUZZ_WIRE_TENSORS_ORACLE_H_
