#include "tests/server/executor/fake_backend.h"

#include <numeric>
#include <utility>

#include "gtest/gtest.h"

namespace attn {

class FakeBackend::FakeExecution : public Execution {
 public:
  explicit FakeExecution(const FakeBackend& backend) : backend_(backend) {
    const int alive = ++backend_.alive_;
    int most = backend_.most_alive_;
    while (alive > most && !backend_.most_alive_.compare_exchange_weak(most, alive)) {
    }
  }
  ~FakeExecution() override { --backend_.alive_; }

  int phase_count() const override { return static_cast<int>(script().phases.size()); }
  Phase phase(int index) override {
    if (script().phase) script().phase(index);
    return script().phases.at(static_cast<size_t>(index));
  }
  absl::Status RunTile(int phase, int64_t tile, Scratch&) override {
    return script().tile ? script().tile(phase, tile) : absl::OkStatus();
  }
  absl::StatusOr<RunResult> Finish() override {
    if (script().finish) {
      if (absl::Status status = script().finish(); !status.ok()) return status;
    }
    RunResult result;
    result.stats.dense_elements = 8;
    result.stats.computed_elements = 2;
    return result;
  }

 private:
  const Script& script() const { return backend_.script_; }
  const FakeBackend& backend_;
};

FakeBackend::FakeBackend(Script script) : script_(std::move(script)) {
  info_.name = "fake";
  info_.device = script_.device;
}

absl::StatusOr<std::unique_ptr<Execution>> FakeBackend::Prepare(const AttentionCall&) const {
  if (script_.prepare) {
    if (absl::Status status = script_.prepare(); !status.ok()) return status;
  }
  return std::make_unique<FakeExecution>(*this);
}

void FakeBackend::Launch(std::span<Execution* const> executions,
                         std::span<absl::Status> statuses) const {
  EXPECT_EQ(executions.size(), statuses.size());
  script_.launch(statuses);
}

void Gate::Open() {
  if (!open_.HasBeenNotified()) open_.Notify();
}

void Gate::Pass() {
  entered_.Notify();
  open_.WaitForNotification();
}

TestCall::TestCall(const Backend& backend, std::string caller_id)
    : state_(std::make_shared<State>()) {
  job_.backend = &backend;
  job_.caller_id = std::move(caller_id);
  job_.done = [state = state_](JobOutcome outcome) {
    ++state->ends;
    state->outcome = std::move(outcome);
    if (!state->ended.HasBeenNotified()) state->ended.Notify();
  };
}

const JobOutcome& TestCall::outcome() const {
  state_->ended.WaitForNotification();
  return state_->outcome;
}

std::unique_ptr<Executor> MakeExecutor(int workers, const ExecutorLimits& limits,
                                       CallObserver* observer) {
  auto executor = Executor::Create({workers, limits}, observer);
  EXPECT_TRUE(executor.ok()) << executor.status();
  return *std::move(executor);
}

namespace {

int64_t Sum(const std::array<int64_t, kPriorities>& of_classes) {
  return std::accumulate(of_classes.begin(), of_classes.end(), int64_t{0});
}

}  // namespace

int64_t Waiting(const QueueLoad& load) { return Sum(load.waiting_calls); }
int64_t Running(const QueueLoad& load) { return Sum(load.running_calls); }
int64_t AdmittedBytes(const QueueLoad& load) { return Sum(load.admitted_bytes); }

}  // namespace attn
