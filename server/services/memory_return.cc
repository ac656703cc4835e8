#include "server/services/memory_return.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "absl/time/time.h"

namespace attn {
namespace {

constexpr absl::Duration kLookInterval = absl::Seconds(2);
// Program text, stacks and the heap's own rounding have 20 to 30 MiB; less than twice that is not
// worth a walk through the heap.
constexpr int64_t kWorthwhileBytes = int64_t{64} << 20;

// 0 where /proc is missing.
int64_t ResidentBytes() {
  FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  long long total_pages = 0;
  long long resident_pages = 0;
  const int read = std::fscanf(file, "%lld %lld", &total_pages, &resident_pages);
  std::fclose(file);
  return read == 2 ? static_cast<int64_t>(resident_pages) * sysconf(_SC_PAGESIZE) : 0;
}

// Resident, less what the heap's owners have allocated.
int64_t UnusedBytes() {
  const struct mallinfo2 heap = mallinfo2();
  const auto allocated_bytes = static_cast<int64_t>(heap.uordblks + heap.hblkhd);
  return std::max(int64_t{0}, ResidentBytes() - allocated_bytes);  // Not all of it was touched.
}

bool IsIdle(const QueueLoad& load) {
  return std::all_of(load.admitted_bytes.begin(), load.admitted_bytes.end(),
                     [](int64_t bytes) { return bytes == 0; });
}

}  // namespace

bool TrimRule::IsWorthwhile(int64_t unused_bytes) {
  least_unused_bytes_ = std::min(least_unused_bytes_, unused_bytes);
  return unused_bytes > least_unused_bytes_ + kWorthwhileBytes;
}

MemoryReturn::MemoryReturn(const Executor* executor)
    : executor_(executor), looks_(kLookInterval, [this] { Look(); }) {}

void MemoryReturn::Look() {
  if (!IsIdle(executor_->load())) return;
  if (!rule_.IsWorthwhile(UnusedBytes())) return;
  malloc_trim(0);
  rule_.Trimmed(UnusedBytes());
}

}  // namespace attn
