#include "server/executor/batch_launch.h"

#include <cstddef>

#include "server/executor/catch_exceptions.h"

namespace attn {

std::vector<absl::Status> LaunchTogether(const Backend& backend,
                                         std::span<RunningJob* const> calls) {
  std::vector<absl::Status> statuses(calls.size());
  std::vector<Execution*> executions;
  std::vector<size_t> launched;  // Of each execution its call.
  for (size_t i = 0; i < calls.size(); ++i) {
    const absl::StatusOr<Execution*> execution = calls[i]->Prepare();
    statuses[i] = execution.status();
    if (!execution.ok()) continue;
    executions.push_back(*execution);
    launched.push_back(i);
  }
  if (executions.empty()) return statuses;

  for (const size_t i : launched) calls[i]->BeginStretch();
  std::vector<absl::Status> ends(executions.size());
  const absl::Status launch = CatchExceptions(backend, [&] {
    backend.Launch(executions, ends);
    return absl::OkStatus();
  });
  for (size_t i = 0; i < launched.size(); ++i) {
    absl::Status& status = statuses[launched[i]];
    status = launch.ok() ? ends[i] : launch;
    if (status.ok()) status = calls[launched[i]]->Finish();
  }
  return statuses;
}

}  // namespace attn
