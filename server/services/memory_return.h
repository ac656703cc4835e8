// Gives memory back to the system after a burst of calls.
#ifndef ATTN_SERVER_SERVICES_MEMORY_RETURN_H_
#define ATTN_SERVER_SERVICES_MEMORY_RETURN_H_

#include <cstdint>

#include "server/executor/executor.h"
#include "server/services/periodic.h"

namespace attn {

// gRPC reads requests into blocks of at most 64 KiB; freed, they stay with the C library's heap,
// whose thresholds do not help (a burst of 16 calls of 16 MiB left 190 to 220 MB of 340 whether
// M_MMAP_THRESHOLD, M_ARENA_MAX or M_TRIM_THRESHOLD was set), while malloc_trim left 14 MB and cost
// nothing measurable. It runs when the executor has nothing to do and the process holds much more
// than is in use.

// Decides when. What a trim cannot give back (idle buffers of the pool, a driver's mappings) must
// not ask for the next one. Belongs to one thread.
class TrimRule {
 public:
  // `unused_bytes`: resident, but not allocated in the heap.
  bool IsWorthwhile(int64_t unused_bytes);
  // After a trim.
  void Trimmed(int64_t unused_bytes) { least_unused_bytes_ = unused_bytes; }

 private:
  int64_t least_unused_bytes_ = 0;  // Since the last trim.
};

class MemoryReturn {
 public:
  // Borrows it.
  explicit MemoryReturn(const Executor* executor);

 private:
  void Look();

  const Executor* const executor_;
  TrimRule rule_;
  Periodic looks_;  // The last member: it uses the others.
};

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_MEMORY_RETURN_H_
