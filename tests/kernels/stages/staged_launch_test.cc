// Calls with stages on a backend that launches batches.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "tests/kernels/stages/staged_call.h"
#include "tests/kernels/stages/watched_backend.h"
#include "tests/support/run_inline.h"

namespace attn {
namespace {

// One of each: without stages, rotated, skipping altogether, trimmed.
struct FourCalls {
  FourCalls() {
    for (StagedShape& shape : shapes) shape = SmallShape();
    shapes[1].rotary = RotaryForm::kInterleaved;
    shapes[2].skip = SkipMode::kValue;
    shapes[3].original_seq_len = 6;
    for (const StagedShape& shape : shapes) calls.push_back(std::make_unique<StagedCall>(shape));
  }

  std::array<StagedShape, 4> shapes;
  std::vector<std::unique_ptr<StagedCall>> calls;
};

std::vector<absl::Status> LaunchAll(const Backend& backend, FourCalls& four) {
  std::vector<std::unique_ptr<Execution>> executions;
  std::vector<Execution*> launched;
  for (const auto& call : four.calls) {
    executions.push_back(*backend.Prepare(call->call()));
    launched.push_back(executions.back().get());
  }
  std::vector<absl::Status> statuses(launched.size());
  backend.Launch(launched, statuses);
  for (size_t i = 0; i < launched.size(); ++i) {
    if (statuses[i].ok()) statuses[i] = executions[i]->Finish().status();
  }
  return statuses;
}

TEST(StagedLaunch, RunsCallsWithAndWithoutStagesTogether) {
  Watched watched = {.launches_batches = true};
  const std::unique_ptr<Backend> backend = StagedWatched(watched);
  EXPECT_TRUE(backend->launches_batches());
  FourCalls together;
  for (const absl::Status& status : LaunchAll(*backend, together)) EXPECT_TRUE(status.ok());
  EXPECT_EQ(watched.launches, std::vector<size_t>{3});  // One skips all there is to launch.
  FourCalls alone;
  for (size_t i = 0; i < 4; ++i) {
    ASSERT_TRUE(RunInline(*StagedBackends()[0], alone.calls[i]->call()).ok());
    EXPECT_EQ(together.calls[i]->sent.out.Bytes(), alone.calls[i]->sent.out.Bytes()) << i;
  }
}

TEST(StagedLaunch, AnErrorIsThatOfItsOwnCall) {
  Watched watched = {.launches_batches = true, .failing = 2};  // Of three: the trimmed one.
  const std::unique_ptr<Backend> backend = StagedWatched(watched);
  FourCalls four;
  const std::vector<absl::Status> statuses = LaunchAll(*backend, four);
  EXPECT_TRUE(statuses[0].ok());
  EXPECT_TRUE(statuses[1].ok());
  EXPECT_TRUE(statuses[2].ok());
  EXPECT_EQ(statuses[3].message(), "launch failed");
}

TEST(StagedLaunch, NothingIsLaunchedWhereAllSkip) {
  Watched watched = {.launches_batches = true};
  const std::unique_ptr<Backend> backend = StagedWatched(watched);
  StagedShape shape = SmallShape();
  shape.skip = SkipMode::kValue;
  StagedCall staged(shape);
  const std::unique_ptr<Execution> execution = *backend->Prepare(staged.call());
  Execution* const launched[] = {execution.get()};
  absl::Status status;
  backend->Launch(launched, {&status, 1});
  EXPECT_TRUE(status.ok());
  EXPECT_TRUE(watched.launches.empty());
  EXPECT_EQ(staged.sent.out.At(1, 1, 9, 7), staged.sent.v.At(1, 1, 9, 7));
}

}  // namespace
}  // namespace attn
