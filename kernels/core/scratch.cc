#include "kernels/core/scratch.h"

#include <cassert>

#include "absl/strings/str_cat.h"

namespace attn {

absl::Status Scratch::Reserve(int64_t bytes) {
  used_ = 0;
  if (bytes <= buffer_.size()) return absl::OkStatus();
  buffer_ = AlignedBuffer();  // Free first: old and new need not exist together.
  buffer_ = AlignedBuffer::Allocate(bytes);
  if (buffer_.data() == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for ", bytes, " bytes of working memory of one thread"));
  }
  return absl::OkStatus();
}

void Scratch::Trim() {
  if (buffer_.size() <= kMaxIdleScratchBytes) return;
  buffer_ = AlignedBuffer();
  used_ = 0;
}

std::byte* Scratch::TakeBytes(int64_t bytes) {
  assert(bytes >= 0 && bytes <= buffer_.size() - used_ && "Reserve announced less than is taken");
  std::byte* const taken = buffer_.data() + used_;
  used_ += (bytes + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
  return taken;
}

}  // namespace attn
