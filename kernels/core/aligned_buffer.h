// Owned memory for tensors.
#ifndef ATTN_KERNELS_CORE_ALIGNED_BUFFER_H_
#define ATTN_KERNELS_CORE_ALIGNED_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <memory>

namespace attn {

// One cache line, and the width of the widest vector load.
inline constexpr int64_t kBufferAlignment = 64;

// No tensor is larger (limits.h: 2^40 elements of 8 bytes): refused before an overcommitting system
// can grant it.
inline constexpr int64_t kMaxBufferBytes = int64_t{1} << 43;

// Uninitialised bytes, 64-byte aligned. Movable; moving empties the source.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  // Empty (data() == nullptr) if the system has no memory or `bytes` is above kMaxBufferBytes; size
  // 0 never allocates.
  static AlignedBuffer Allocate(int64_t bytes);

  std::byte* data() const { return data_.get(); }
  int64_t size() const { return data_ ? size_ : 0; }

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  int64_t size_ = 0;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_ALIGNED_BUFFER_H_
