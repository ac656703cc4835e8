// Where worker threads run, and where their memory lies. Linux.
#ifndef ATTN_SERVER_EXECUTOR_WORKER_PLACEMENT_H_
#define ATTN_SERVER_EXECUTOR_WORKER_PLACEMENT_H_

#include <span>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace attn {

// Of all workers.
struct WorkerPlacement {
  std::vector<int> cpus;  // That they run on; empty = wherever the process may.
  bool pinned = false;    // Worker i on cpus[i] alone, instead of on any of them.
};

// Linux is built for no more NUMA nodes on any processor (CONFIG_NODES_SHIFT).
inline constexpr int kMaxNodes = 1024;

// Ascending; those of the calling thread, which threads that it starts have as well. Never empty.
absl::StatusOr<std::vector<int>> AllowedCpus();

// From now on `thread` runs on these alone. INVALID_ARGUMENT names one that is not below kMaxCpus;
// that or PERMISSION_DENIED if the system does not let it.
absl::Status KeepOn(std::thread& thread, std::span<const int> cpus);

// From now on pages that the calling thread, or one that it starts later, touches first lie on
// `node` while there is room, else on another. INVALID_ARGUMENT if that is not below kMaxNodes;
// else the status names what the system refused.
absl::Status PreferMemoryOfNode(int node);

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_WORKER_PLACEMENT_H_
