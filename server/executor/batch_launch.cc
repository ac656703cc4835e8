#include "server/executor/batch_launch.h"

#include <algorithm>
#include <cstddef>

#include "server/executor/catch_exceptions.h"

namespace attn {
namespace {

// Bad if the launch threw, whatever the statuses say then.
absl::Status Launch(const Backend& backend, std::span<Execution* const> executions,
                    std::span<absl::Status> statuses) {
  return CatchExceptions(backend, [&] {
    backend.Launch(executions, statuses);
    return absl::OkStatus();
  });
}

bool AllInternal(std::span<const absl::Status> statuses) {
  return std::all_of(statuses.begin(), statuses.end(), [](const absl::Status& status) {
    return status.code() == absl::StatusCode::kInternal;
  });
}

}  // namespace

std::vector<LaunchEnd> LaunchTogether(const Backend& backend, std::span<RunningJob* const> calls) {
  std::vector<LaunchEnd> ends(calls.size());
  std::vector<Execution*> executions;
  std::vector<size_t> launched;  // Of each execution its call.
  for (size_t i = 0; i < calls.size(); ++i) {
    const absl::StatusOr<Execution*> execution = calls[i]->Prepare();
    ends[i] = {execution.status(), static_cast<int64_t>(calls.size())};
    if (!execution.ok()) continue;
    executions.push_back(*execution);
    launched.push_back(i);
  }
  if (executions.empty()) return ends;

  for (const size_t i : launched) calls[i]->BeginStretch();
  std::vector<absl::Status> statuses(executions.size());
  const absl::Status launch = Launch(backend, executions, statuses);
  if (launched.size() > 1 && (!launch.ok() || AllInternal(statuses))) {
    // All first: the memory of the others may be what one of them lacks.
    for (const size_t i : launched) calls[i]->UndoPrepare();
    for (const size_t i : launched) ends[i] = LaunchTogether(backend, calls.subspan(i, 1))[0];
    return ends;
  }
  for (size_t i = 0; i < launched.size(); ++i) {
    absl::Status& status = ends[launched[i]].status;
    status = launch.ok() ? statuses[i] : launch;
    if (status.ok()) status = calls[launched[i]]->Finish();
  }
  return ends;
}

}  // namespace attn
