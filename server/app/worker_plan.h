// How many threads compute and where, from the options and what this machine has.
#ifndef ATTN_SERVER_APP_WORKER_PLAN_H_
#define ATTN_SERVER_APP_WORKER_PLAN_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config/server_config.h"
#include "server/config/server_options.h"
#include "server/executor/worker_placement.h"
#include "server/telemetry/server_log.h"

namespace attn {

struct WorkerPlan {
  int workers = 1;
  std::vector<int> cpus;  // That they may run on, whether placed there or left to the scheduler.
  WorkerPlacement placement;
};

// The CPUs' worth of time that the control groups of this process let it have, as 1.5; nothing if
// none of them has a quota. `root` stands for `/`, for tests.
std::optional<double> CpuQuota(const std::string& root = "");

// `workers`, `worker_cpus` and `numa_node` of valid options held against this machine. A mistake
// begins with the key that it is in. 0 workers become one for each CPU that they may run on, but no
// more than the quota, rounded up: threads beyond it would only be throttled. To be asked by the
// thread that starts the workers: they inherit its CPUs.
absl::StatusOr<WorkerPlan> PlanWorkers(const ServerOptions& options, const std::string& root = "");

// The plan of this machine; the calling thread, and those that it starts, are made to prefer the
// memory of `numa_node`. What is wrong is added to the mistakes.
WorkerPlan ChooseWorkers(const ServerConfig& config, std::vector<std::string>* mistakes);

// One line of how this machine is used.
void LogCompute(const ServerOptions& options, const std::string& cpu_isa, const WorkerPlan& workers,
                ServerLog* log);

}  // namespace attn

#endif  // ATTN_SERVER_APP_WORKER_PLAN_H_
