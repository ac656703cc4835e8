// Working memory of one thread, reused from tile to tile so that tiles do not allocate.
#ifndef ATTN_KERNELS_CORE_SCRATCH_H_
#define ATTN_KERNELS_CORE_SCRATCH_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "kernels/core/aligned_buffer.h"

namespace attn {

// Above what tiles of ordinary calls take, and so large that to take it anew costs little beside
// the tile.
inline constexpr int64_t kMaxIdleScratchBytes = int64_t{64} << 20;

// Not thread-safe: one a worker.
class Scratch {
 public:
  // Starts a tile: everything taken before is void. Whoever runs tiles calls it before each one; no
  // tile does.
  void Reset() { used_ = 0; }

  // `count` uninitialised elements, 64-byte aligned, valid until Reset. All takes of a tile
  // together must fit what Reserve announced.
  template <typename T>
  T* Take(int64_t count) {
    return reinterpret_cast<T*>(TakeBytes(count * static_cast<int64_t>(sizeof(T))));
  }

  // Grows to at least `bytes` and voids what was taken; call before the first Take of a tile. Each
  // Take needs its size rounded up to 64. RESOURCE_EXHAUSTED if the system has no memory.
  absl::Status Reserve(int64_t bytes);

  // Between tiles: frees what one unusual call made larger than kMaxIdleScratchBytes, so that no
  // worker keeps it for good.
  void Trim();

  int64_t capacity() const { return buffer_.size(); }  // Bytes held.

 private:
  std::byte* TakeBytes(int64_t bytes);

  AlignedBuffer buffer_;
  int64_t used_ = 0;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_SCRATCH_H_
