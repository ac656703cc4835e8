// A backend whose executions do what a test tells them, and the means to hold one up.
#ifndef ATTN_TESTS_SERVER_EXECUTOR_FAKE_BACKEND_H_
#define ATTN_TESTS_SERVER_EXECUTOR_FAKE_BACKEND_H_

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "kernels/core/backend.h"
#include "server/executor/executor.h"

namespace attn {

// What every execution does; an empty function does nothing and succeeds.
struct Script {
  std::vector<Phase> phases = {{Stage::kKernel, 1}};
  std::function<absl::Status()> prepare;
  std::function<void(int)> phase;  // Before phase(i) answers.
  std::function<absl::Status(int, int64_t)> tile;
  std::function<absl::Status()> finish;
  // If set, the backend launches batches: called with each launch, sets the statuses of calls.
  std::function<void(std::span<absl::Status>)> launch;
  std::string device = "fake";
};

// Outlives its executions.
class FakeBackend : public Backend {
 public:
  explicit FakeBackend(Script script);

  const BackendInfo& info() const override { return info_; }
  int64_t WorkspaceBytes(const AttentionProblem&, const OptionMap&) const override { return 0; }
  absl::StatusOr<std::unique_ptr<Execution>> Prepare(const AttentionCall& call) const override;
  bool launches_batches() const override { return script_.launch != nullptr; }
  void Launch(std::span<Execution* const> executions,
              std::span<absl::Status> statuses) const override;

  int executions_alive() const { return alive_; }
  int most_alive() const { return most_alive_; }

 private:
  class FakeExecution;

  const Script script_;
  BackendInfo info_;
  mutable std::atomic<int> alive_ = 0;
  mutable std::atomic<int> most_alive_ = 0;
};

// Holds the one thread that passes until the test opens it.
class Gate {
 public:
  void Pass();
  void WaitUntilEntered() { entered_.WaitForNotification(); }
  // No effect if it is open.
  void Open();

 private:
  absl::Notification entered_;
  absl::Notification open_;
};

// A job that notes its end.
class TestCall {
 public:
  explicit TestCall(const Backend& backend, std::string caller_id = "");

  // The job, to be changed before it is moved into Submit. Once.
  Job& job() { return job_; }

  // Blocks until the end.
  const JobOutcome& outcome() const;
  absl::StatusCode code() const { return outcome().status.code(); }
  bool ended() const { return state_->ended.HasBeenNotified(); }
  int ends() const { return state_->ends; }
  // Whether `done` still exists somewhere.
  bool done_alive() const { return state_.use_count() > 1; }

 private:
  struct State {
    absl::Notification ended;
    std::atomic<int> ends = 0;
    JobOutcome outcome;
  };
  std::shared_ptr<State> state_;
  Job job_;
};

std::unique_ptr<Executor> MakeExecutor(int workers, const ExecutorLimits& limits = {},
                                       CallObserver* observer = nullptr);

// Calls of both classes together.
int64_t Waiting(const QueueLoad& load);
int64_t Running(const QueueLoad& load);
int64_t AdmittedBytes(const QueueLoad& load);

}  // namespace attn

#endif  // ATTN_TESTS_SERVER_EXECUTOR_FAKE_BACKEND_H_
