#include "kernels/core/aligned_buffer.h"

#include <sys/mman.h>

#include <cstdlib>

namespace attn {
namespace {

// From here on huge pages pay: 512 times fewer page faults and TLB entries.
constexpr int64_t kHugePageMinBytes = int64_t{4} << 20;
constexpr int64_t kHugePageBytes = int64_t{2} << 20;

}  // namespace

void AlignedBuffer::Free::operator()(std::byte* data) const { std::free(data); }

AlignedBuffer AlignedBuffer::Allocate(int64_t bytes) {
  AlignedBuffer buffer;
  if (bytes <= 0 || bytes > kMaxBufferBytes) return buffer;
  const bool huge = bytes >= kHugePageMinBytes;
  const auto alignment = static_cast<size_t>(huge ? kHugePageBytes : kBufferAlignment);
  void* data = nullptr;
  if (posix_memalign(&data, alignment, static_cast<size_t>(bytes)) != 0) return buffer;
  if (huge) {
    // A hint: where the system has no huge pages the buffer is as good, only slower.
    static_cast<void>(madvise(data, static_cast<size_t>(bytes), MADV_HUGEPAGE));
  }
  buffer.data_.reset(static_cast<std::byte*>(data));
  buffer.size_ = bytes;
  return buffer;
}

}  // namespace attn
