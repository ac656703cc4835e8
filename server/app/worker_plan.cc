#include "server/app/worker_plan.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "kernels/core/status_macros.h"
#include "server/app/control_groups.h"
#include "server/app/first_line.h"
#include "server/executor/cpu_list.h"
#include "server/executor/executor.h"

namespace attn {
namespace {

using Cpus = std::vector<int>;

constexpr char kOnlineCpus[] = "/sys/devices/system/cpu/online";
constexpr char kNodes[] = "/sys/devices/system/node/";

bool Contains(const Cpus& cpus, int cpu) {
  return std::find(cpus.begin(), cpus.end(), cpu) != cpus.end();
}

// `worker_cpus`, in its order.
absl::StatusOr<Cpus> ListedCpus(const std::string& text, const Cpus& allowed,
                                const std::string& root) {
  const absl::StatusOr<Cpus> listed = ParseCpuList(text);
  if (!listed.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("worker_cpus: ", listed.status().message()));
  }
  const std::string online_text = FirstLine(root + kOnlineCpus);
  const absl::StatusOr<Cpus> online = ParseCpuList(online_text);
  for (const int cpu : *listed) {
    if (Contains(allowed, cpu)) continue;
    const bool there = !online.ok() || Contains(*online, cpu);
    return absl::InvalidArgumentError(absl::StrCat(
        "worker_cpus: CPU ", cpu, " of ", text,
        there
            ? absl::StrCat(" is none that this process may run on, allowed: ", CpuListText(allowed))
            : absl::StrCat(" is not there, this machine has ", online_text)));
  }
  return *listed;
}

absl::StatusOr<Cpus> CpusOfNode(int64_t node, const Cpus& allowed, const std::string& root) {
  const std::string nodes = FirstLine(absl::StrCat(root, kNodes, "online"));
  const absl::StatusOr<Cpus> online = ParseCpuList(nodes);
  if (!online.ok() || !Contains(*online, static_cast<int>(node))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "numa_node: no node ", node, ", ",
        online.ok() ? absl::StrCat("allowed: ", nodes) : "this system shows none; leave it at -1"));
  }
  const std::string text = FirstLine(absl::StrCat(root, kNodes, "node", node, "/cpulist"));
  const absl::StatusOr<Cpus> all = ParseCpuList(text);  // Of a node of memory alone it is empty.
  Cpus cpus;
  if (all.ok()) {
    std::copy_if(all->begin(), all->end(), std::back_inserter(cpus),
                 [&](int cpu) { return Contains(allowed, cpu); });
  }
  if (!cpus.empty()) return cpus;
  return absl::InvalidArgumentError(
      absl::StrCat("numa_node: this process may run on no CPU of node ", node, ", which has ",
                   text.empty() ? "none" : text, "; allowed: ", CpuListText(allowed)));
}

// As `max 100000` or `150000 100000`, quota and period in microseconds; of version 1 they are in
// two files, and no quota is -1.
std::optional<double> QuotaOf(const ControlGroup& group, const std::string& root) {
  const std::string folder = root + group.folder;
  const std::string text = group.version == 2
                               ? FirstLine(folder + "/cpu.max")
                               : absl::StrCat(FirstLine(folder + "/cpu.cfs_quota_us"), " ",
                                              FirstLine(folder + "/cpu.cfs_period_us"));
  const std::vector<absl::string_view> words = absl::StrSplit(text, ' ');
  double quota_us = 0;
  double period_us = 0;
  if (words.size() != 2 || !absl::SimpleAtod(words[0], &quota_us) ||
      !absl::SimpleAtod(words[1], &period_us) || quota_us <= 0 || period_us <= 0) {
    return std::nullopt;
  }
  return quota_us / period_us;
}

}  // namespace

std::optional<double> CpuQuota(const std::string& root) {
  std::optional<double> least;
  for (const ControlGroup& group : ControlGroupsOf("cpu", root)) {
    const std::optional<double> quota = QuotaOf(group, root);
    if (quota && (!least || *quota < *least)) least = quota;
  }
  return least;
}

absl::StatusOr<WorkerPlan> PlanWorkers(const ServerOptions& options, const std::string& root) {
  WorkerPlan plan;
  ATTN_ASSIGN_OR_RETURN(plan.cpus, AllowedCpus());
  if (!options.worker_cpus.empty()) {
    ATTN_ASSIGN_OR_RETURN(plan.cpus, ListedCpus(options.worker_cpus, plan.cpus, root));
    plan.placement = {plan.cpus, /*pinned=*/true};
  } else if (options.numa_node >= 0) {
    ATTN_ASSIGN_OR_RETURN(plan.cpus, CpusOfNode(options.numa_node, plan.cpus, root));
    plan.placement = {plan.cpus, /*pinned=*/false};
  }
  if (options.workers > 0) {
    plan.workers = static_cast<int>(options.workers);
    if (!plan.placement.pinned || options.workers <= std::ssize(plan.cpus)) return plan;
    return absl::InvalidArgumentError(absl::StrCat(
        "workers: ", options.workers, " threads have no CPU each among the ", plan.cpus.size(),
        " of worker_cpus, ", options.worker_cpus, "; lower it, or 0 = one on each"));
  }
  plan.workers = static_cast<int>(std::min<size_t>(plan.cpus.size(), kMaxWorkers));
  if (const std::optional<double> quota = CpuQuota(root); quota && *quota < plan.workers) {
    plan.workers = static_cast<int>(std::ceil(*quota));
  }
  return plan;
}

WorkerPlan ChooseWorkers(const ServerConfig& config, std::vector<std::string>* mistakes) {
  const ServerOptions& options = config.options;
  absl::StatusOr<WorkerPlan> workers = PlanWorkers(options);
  if (!workers.ok()) {
    mistakes->push_back(config.WithOrigin(std::string(workers.status().message())));
    return {};
  }
  if (options.numa_node >= 0) {
    const absl::Status preferred = PreferMemoryOfNode(static_cast<int>(options.numa_node));
    if (!preferred.ok()) {
      mistakes->push_back(config.WithOrigin(absl::StrCat("numa_node: ", preferred.message())));
    }
  }
  return *std::move(workers);
}

void LogCompute(const ServerOptions& options, const std::string& cpu_isa, const WorkerPlan& workers,
                ServerLog* log) {
  log->Write(LogLevel::kInfo, "compute",
             {{"cpu_isa", cpu_isa},
              {"workers", absl::StrCat(workers.workers)},
              {"cpus", CpuListText(workers.cpus)},
              {"pinned", workers.placement.pinned ? "true" : "false"},
              {"numa_node", options.numa_node < 0 ? "any" : absl::StrCat(options.numa_node)}});
}

}  // namespace attn
