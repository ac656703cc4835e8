#include "kernels/engines/cpu/token_addresses.h"

namespace attn {

TokenAddresses::TokenAddresses(const TensorView& view, int64_t b, int64_t head, float* copies)
    : view_(view),
      b_(b),
      head_(head),
      copies_(copies),
      copied_(view.stride(3) != 1),
      first_(TokenAddress(view, b, head, 0)),
      stride_bytes_(ByteSize(view.dtype, view.stride(2))) {}

void TokenAddresses::Add(int64_t token) {
  const void*& address = addresses_[static_cast<size_t>(count_)];
  if (copied_) {
    float* const copy = copies_ + count_ * view_.dim(3);
    LoadRow(view_, b_, head_, token, copy);
    address = copy;
  } else {
    address = first_ + token * stride_bytes_;
  }
  ++count_;
}

void TokenAddresses::Add(const TokenRange& range) {
  if (copied_ || range.permutation != nullptr) {
    for (int64_t i = range.begin; i < range.end; ++i) Add(range.original(i));
    return;
  }
  const std::byte* token = first_ + range.begin * stride_bytes_;
  for (int64_t i = 0; i < range.size(); ++i, token += stride_bytes_) {
    addresses_[static_cast<size_t>(count_ + i)] = token;
  }
  count_ += range.size();
}

}  // namespace attn
