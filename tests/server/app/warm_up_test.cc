#include "server/app/warm_up.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "tests/server/app/log_file.h"

namespace attn {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// What the backends of one test were asked to run, in order.
struct Runs {
  absl::Mutex mutex;
  std::vector<std::string> names;  // `flash fp32`
};

struct Behaviour {
  std::string name;
  int rank = 0;
  std::vector<DType> dtypes = {DType::kFloat32};
  absl::Status available = absl::OkStatus();
  absl::Status end = absl::OkStatus();  // Of its tiles.
  std::vector<int64_t> head_dims = {};
};

class TestExecution : public Execution {
 public:
  explicit TestExecution(absl::Status end) : end_(std::move(end)) {}
  int phase_count() const override { return 1; }
  Phase phase(int /*index*/) override { return {Stage::kKernel, 1}; }
  absl::Status RunTile(int, int64_t, Scratch&) override { return end_; }
  absl::StatusOr<RunResult> Finish() override { return RunResult(); }

 private:
  const absl::Status end_;
};

class TestBackend : public Backend {
 public:
  TestBackend(Behaviour behaviour, Runs* runs) : behaviour_(std::move(behaviour)), runs_(runs) {
    info_.name = behaviour_.name;
    info_.device = "cpu";
    info_.cost_rank = behaviour_.rank;
    info_.capabilities.max_head_dim = 256;
    info_.capabilities.head_dims = behaviour_.head_dims;
    info_.capabilities.dtypes = behaviour_.dtypes;
    info_.capabilities.features = {Feature::kScale};
  }

  const BackendInfo& info() const override { return info_; }
  absl::Status Available() const override { return behaviour_.available; }
  int64_t WorkspaceBytes(const AttentionProblem&, const OptionMap&) const override { return 0; }
  absl::StatusOr<std::unique_ptr<Execution>> Prepare(const AttentionCall& call) const override {
    const absl::MutexLock lock(&runs_->mutex);
    runs_->names.push_back(info_.name + " " + std::string(Name(call.problem.dtype)));
    EXPECT_EQ(call.q.dtype, call.problem.dtype);
    EXPECT_NE(call.out.data, nullptr);
    return std::make_unique<TestExecution>(behaviour_.end);
  }

 private:
  const Behaviour behaviour_;
  Runs* const runs_;
  BackendInfo info_;
};

class WarmUpTest : public testing::Test {
 protected:
  void Run(const std::vector<Behaviour>& behaviours) {
    std::vector<std::unique_ptr<Backend>> backends;
    for (const Behaviour& behaviour : behaviours) {
      backends.push_back(std::make_unique<TestBackend>(behaviour, &runs_));
    }
    const Registry registry = Registry::Create(std::move(backends)).value();
    ExecutorOptions options;
    options.workers = 2;
    const std::unique_ptr<Executor> executor = Executor::Create(options, nullptr).value();
    WarmUp(registry, executor.get(), policy_.get(), log_.log(), [this] { return stopping_; });
    const QueueLoad load = executor->load();
    EXPECT_THAT(load.waiting_calls, Each(0)) << "a call outlived the warm-up";
    EXPECT_THAT(load.running_calls, Each(0)) << "a call outlived the warm-up";
  }

  Runs runs_;
  LogFile log_;
  bool stopping_ = false;
  const std::unique_ptr<PolicyState> policy_ = PolicyState::Create("", nullptr).value();
};

TEST_F(WarmUpTest, EveryBackendRunsOnceADtypeInTheAutomaticOrder) {
  Run({{.name = "eager", .rank = 9, .dtypes = {DType::kFloat32, DType::kInt8}},
       {.name = "flash", .rank = 1, .dtypes = {DType::kFloat32, DType::kFloat16, DType::kBFloat16}},
       {.name = "psa", .rank = 3, .head_dims = {96, 128}}});
  EXPECT_THAT(runs_.names,
              ElementsAre("flash fp32", "flash fp16", "flash bf16", "psa fp32", "eager fp32"));
  EXPECT_THAT(policy_->Snapshot()->quarantined, IsEmpty());
}

TEST_F(WarmUpTest, UnavailableBackendIsLeftAloneAndNamed) {
  Run({{.name = "cudnn", .available = absl::UnavailableError("no driver")}, {.name = "flash"}});
  EXPECT_THAT(runs_.names, ElementsAre("flash fp32"));
  EXPECT_THAT(policy_->Snapshot()->quarantined, IsEmpty());
  EXPECT_THAT(log_.Close(), AllOf(HasSubstr("cudnn"), HasSubstr("no driver")));
}

TEST_F(WarmUpTest, InternalErrorQuarantinesThatBackendAlone) {
  Run({{.name = "flash", .end = absl::InternalError("device lost")}, {.name = "eager"}});
  const auto policy = policy_->Snapshot();
  ASSERT_EQ(policy->quarantined.size(), 1u);
  EXPECT_TRUE(policy->quarantined.at("flash").automatic);
  EXPECT_THAT(policy->quarantined.at("flash").reason, HasSubstr("device lost"));
  EXPECT_THAT(runs_.names, Contains("eager fp32"));
  EXPECT_THAT(log_.Close(), AllOf(HasSubstr("error"), HasSubstr("device lost")));
}

TEST_F(WarmUpTest, AnyOtherErrorIsLoggedAndQuarantinesNothing) {
  Run({{.name = "flash", .end = absl::ResourceExhaustedError("no memory left")}});
  EXPECT_THAT(policy_->Snapshot()->quarantined, IsEmpty());
  EXPECT_THAT(log_.Close(), AllOf(HasSubstr("warm-up failed"), HasSubstr("no memory left"),
                                  Not(HasSubstr("quarantined"))));
}

TEST_F(WarmUpTest, StopsWhenTheServerStops) {
  stopping_ = true;
  Run({{.name = "flash"}, {.name = "eager"}});
  EXPECT_THAT(runs_.names, IsEmpty());
}

}  // namespace
}  // namespace attn
