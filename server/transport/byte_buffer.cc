#include "server/transport/byte_buffer.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace attn {
namespace {

// Keeps the memory behind `slices` slices; deleted by the last of them, on any thread.
struct PayloadOwner {
  const std::shared_ptr<const void> owner;
  std::atomic<size_t> slices;

  static void Release(void* self) {
    auto* payload_owner = static_cast<PayloadOwner*>(self);
    if (payload_owner->slices.fetch_sub(1) == 1) delete payload_owner;
  }
};

// gRPC never writes to what it sends, though its slices are declared mutable.
grpc::Slice ReferencingSlice(ByteSpan payload, PayloadOwner* owner) {
  return grpc::Slice(const_cast<std::byte*>(payload.data()), payload.size(), &PayloadOwner::Release,
                     owner);
}

}  // namespace

absl::StatusOr<ReceivedMessage> ReceivedMessage::Take(const grpc::ByteBuffer& buffer) {
  ReceivedMessage message;
  const grpc::Status dumped = buffer.Dump(&message.slices_);
  if (!dumped.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("message cannot be read: ", dumped.error_message()));
  }
  // Short slices keep their bytes inside themselves: point into the vector only now that it stays.
  message.spans_.reserve(message.slices_.size());
  for (const grpc::Slice& slice : message.slices_) {
    message.spans_.emplace_back(reinterpret_cast<const std::byte*>(slice.begin()), slice.size());
    message.size_ += static_cast<int64_t>(slice.size());
  }
  return message;
}

grpc::ByteBuffer ToByteBuffer(const std::vector<WirePiece>& pieces,
                              std::shared_ptr<const void> owner) {
  const auto payloads = static_cast<size_t>(std::count_if(
      pieces.begin(), pieces.end(), [](const WirePiece& piece) { return !piece.payload.empty(); }));
  PayloadOwner* payload_owner =
      payloads > 0 ? new PayloadOwner{std::move(owner), payloads} : nullptr;
  std::vector<grpc::Slice> slices;
  slices.reserve(pieces.size() + payloads);
  for (const WirePiece& piece : pieces) {
    if (!piece.head.empty()) slices.emplace_back(piece.head);
    if (!piece.payload.empty()) slices.push_back(ReferencingSlice(piece.payload, payload_owner));
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

}  // namespace attn
