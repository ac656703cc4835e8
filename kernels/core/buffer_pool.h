// Large buffers kept between calls: a fresh 64 MiB allocation costs more in page faults than the
// copy into it.
#ifndef ATTN_KERNELS_CORE_BUFFER_POOL_H_
#define ATTN_KERNELS_CORE_BUFFER_POOL_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "kernels/core/aligned_buffer.h"

namespace attn {

// Thread-safe. A copy is the same pool. Leases may outlive the pool object.
class BufferPool {
 public:
  // Keeps at most `max_idle_bytes` of unused memory.
  explicit BufferPool(int64_t max_idle_bytes);

  // A buffer on loan; its destruction gives it back. Movable.
  class Lease;

  // RESOURCE_EXHAUSTED if the system has no memory. The buffer is uninitialised and may be larger
  // than asked for; Lease::size() is what was asked.
  absl::StatusOr<Lease> Take(int64_t bytes);

  int64_t idle_bytes() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

class BufferPool::Lease {
 public:
  Lease() = default;
  Lease(Lease&&) noexcept;
  Lease& operator=(Lease&&) noexcept;
  ~Lease();

  std::byte* data() const { return buffer_.data(); }
  int64_t size() const { return size_; }

 private:
  friend class BufferPool;
  std::shared_ptr<State> state_;
  AlignedBuffer buffer_;
  int64_t size_ = 0;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_BUFFER_POOL_H_
