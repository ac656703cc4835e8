#include "kernels/core/buffer_pool.h"

#include <algorithm>
#include <iterator>
#include <list>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace attn {
namespace {

// Sizes are rounded up to pages, so that nearly equal requests share buffers.
constexpr int64_t kGranularityBytes = 4096;

// Below this malloc's own caches serve as well as the pool.
constexpr int64_t kMinPooledBytes = int64_t{64} << 10;

// A buffer serves requests down to 1/kMaxSlack of its size: small calls do not pin large ones.
constexpr int64_t kMaxSlack = 2;

absl::Status NoMemory(int64_t bytes) {
  return absl::ResourceExhaustedError(absl::StrCat("no memory for a buffer of ", bytes, " bytes"));
}

}  // namespace

// Idle buffers, by age and by size. Among buffers of one size the index keeps insertion order, so
// the oldest of all is the first of its size.
struct BufferPool::State {
  explicit State(int64_t max_bytes) : max_idle_bytes(max_bytes) {}

  AlignedBuffer TakeIdle(int64_t bytes);
  void Return(AlignedBuffer buffer);

  using ByAge = std::list<AlignedBuffer>;  // Oldest first.
  using BySize = std::multimap<int64_t, ByAge::iterator>;

  // Requires the mutex.
  AlignedBuffer Remove(BySize::iterator found) {
    AlignedBuffer buffer = std::move(*found->second);
    by_age.erase(found->second);
    by_size.erase(found);
    idle_bytes -= buffer.size();
    return buffer;
  }

  const int64_t max_idle_bytes;
  // std::mutex, not absl::Mutex: thread sanitizer does not see through the distribution's Abseil.
  std::mutex mutex;  // Guards all below.
  ByAge by_age;
  BySize by_size;
  int64_t idle_bytes = 0;
};

// The smallest that is large enough; of equal ones the newest, whose pages are likeliest cached.
AlignedBuffer BufferPool::State::TakeIdle(int64_t bytes) {
  const std::lock_guard lock(mutex);
  const auto smallest = by_size.lower_bound(bytes);
  if (smallest == by_size.end() || smallest->first > kMaxSlack * bytes) return AlignedBuffer();
  return Remove(std::prev(by_size.upper_bound(smallest->first)));
}

void BufferPool::State::Return(AlignedBuffer buffer) {
  const int64_t size = buffer.size();
  if (size < kMinPooledBytes || size > max_idle_bytes) return;
  std::vector<AlignedBuffer> evicted;  // Unmapping is slow: freed after the lock is released.
  const std::lock_guard lock(mutex);
  while (idle_bytes > max_idle_bytes - size) {
    evicted.push_back(Remove(by_size.lower_bound(by_age.front().size())));
  }
  by_age.push_back(std::move(buffer));
  by_size.emplace(size, std::prev(by_age.end()));
  idle_bytes += size;
}

BufferPool::BufferPool(int64_t max_idle_bytes) : state_(std::make_shared<State>(max_idle_bytes)) {}

absl::StatusOr<BufferPool::Lease> BufferPool::Take(int64_t bytes) {
  if (bytes < 0) {
    return absl::InvalidArgumentError(absl::StrCat("a buffer of ", bytes, " bytes was asked for"));
  }
  Lease lease;
  if (bytes == 0) return lease;
  if (bytes > kMaxBufferBytes) return NoMemory(bytes);
  const int64_t rounded = (bytes + kGranularityBytes - 1) / kGranularityBytes * kGranularityBytes;
  if (rounded >= kMinPooledBytes) lease.buffer_ = state_->TakeIdle(rounded);
  if (lease.buffer_.data() == nullptr) lease.buffer_ = AlignedBuffer::Allocate(rounded);
  if (lease.buffer_.data() == nullptr) return NoMemory(bytes);
  lease.state_ = state_;
  lease.size_ = bytes;
  return lease;
}

int64_t BufferPool::idle_bytes() const {
  const std::lock_guard lock(state_->mutex);
  return state_->idle_bytes;
}

BufferPool::Lease::Lease(Lease&& other) noexcept
    : state_(std::move(other.state_)),
      buffer_(std::move(other.buffer_)),
      size_(std::exchange(other.size_, 0)) {}

BufferPool::Lease& BufferPool::Lease::operator=(Lease&& other) noexcept {
  Lease taken(std::move(other));
  std::swap(state_, taken.state_);
  std::swap(buffer_, taken.buffer_);
  std::swap(size_, taken.size_);
  return *this;
}

BufferPool::Lease::~Lease() {
  if (state_ != nullptr) state_->Return(std::move(buffer_));
}

}  // namespace attn
