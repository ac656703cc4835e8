#include "server/executor/launch_queue.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/executor/fake_backend.h"
#include "tests/server/executor/scheduled_jobs.h"

namespace attn {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Script Launching(std::string device) {
  Script script;
  script.launch = [](std::span<absl::Status>) {};
  script.device = std::move(device);
  return script;
}

class LaunchQueueTest : public testing::Test {
 protected:
  ScheduledJob& Add(const std::string& caller, const Backend& backend,
                    Priority priority = Priority::kInteractive,
                    absl::Duration delay = absl::ZeroDuration()) {
    Job job;
    job.backend = &backend;
    job.caller_id = caller;
    job.priority = priority;
    ScheduledJob& made = jobs_.Make(std::move(job));
    queue_.Add(made, now_ + delay);
    return made;
  }

  // The ids of the calls of the next batch; its device is left busy.
  std::vector<JobId> Take(int max_calls = 16) {
    const bool can_take = queue_.CanTake(now_, max_calls);
    const auto batch = queue_.Take(now_, max_calls);
    EXPECT_EQ(batch.has_value(), can_take);
    std::vector<JobId> ids;
    if (batch) {
      for (const ScheduledJob* job : batch->calls) {
        EXPECT_FALSE(job->gathering);
        EXPECT_EQ(job->job().backend, batch->backend);
        ids.push_back(job->id);
      }
    }
    return ids;
  }

  const FakeBackend a_{Launching("cuda:0")};
  const FakeBackend b_{Launching("cuda:0")};
  const FakeBackend elsewhere_{Launching("cuda:1")};
  ScheduledJobs jobs_;
  LaunchQueue queue_;
  absl::Time now_ = absl::UnixEpoch();
};

TEST_F(LaunchQueueTest, CallersTakeTurnsWithinABatch) {
  for (int i = 0; i < 3; ++i) Add("x", a_);
  Add("y", a_);
  Add("z", a_);
  EXPECT_THAT(Take(4), ElementsAre(1, 4, 5, 2));
  queue_.Free(a_);
  EXPECT_THAT(Take(4), ElementsAre(3));
  EXPECT_TRUE(queue_.empty());
}

TEST_F(LaunchQueueTest, OneLaunchADeviceAtATime) {
  Add("x", a_);
  EXPECT_THAT(Take(), ElementsAre(1));
  Add("x", a_);
  Add("x", b_);
  EXPECT_THAT(Take(), IsEmpty());
  Add("x", elsewhere_);
  EXPECT_THAT(Take(), ElementsAre(4));
  queue_.Free(a_);
  EXPECT_THAT(Take(), ElementsAre(2));
}

TEST_F(LaunchQueueTest, BackendsOfADeviceTakeTurns) {
  for (int i = 0; i < 2; ++i) {
    Add("x", a_);
    Add("x", a_);
    Add("x", b_);
  }
  std::vector<std::vector<JobId>> batches;
  for (int i = 0; i < 3; ++i) {
    batches.push_back(Take(3));
    queue_.Free(a_);
  }
  EXPECT_THAT(batches, ElementsAre(ElementsAre(1, 2, 4), ElementsAre(3, 6), ElementsAre(5)));
}

TEST_F(LaunchQueueTest, ClassesNeverMixAndBatchHasEveryEighthLaunch) {
  Add("x", a_, Priority::kBatch);
  std::vector<JobId> batch_launches;
  for (JobId launch = 1; launch <= 9; ++launch) {
    Add("x", a_);
    if (Take() == std::vector<JobId>{1}) batch_launches.push_back(launch);
    queue_.Free(a_);
  }
  EXPECT_THAT(batch_launches, ElementsAre(8));
}

TEST_F(LaunchQueueTest, CallsWaitForCompanyUntilTheFirstIsDue) {
  Add("x", a_, Priority::kInteractive, absl::Seconds(2));
  Add("y", a_, Priority::kInteractive, absl::Seconds(1));
  EXPECT_THAT(Take(), IsEmpty());
  EXPECT_EQ(queue_.NextDue(now_), now_ + absl::Seconds(1));
  now_ += absl::Seconds(1);
  EXPECT_THAT(Take(), ElementsAre(1, 2));
  EXPECT_EQ(queue_.NextDue(now_), absl::InfiniteFuture());
}

TEST_F(LaunchQueueTest, FullBatchWaitsNoLonger) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Take(3), IsEmpty());
    Add("x", a_, Priority::kInteractive, absl::Seconds(1));
  }
  EXPECT_THAT(Take(3), ElementsAre(1, 2, 3));
}

TEST_F(LaunchQueueTest, RemovedCallIsGone) {
  ScheduledJob& first = Add("x", a_);
  Add("x", a_);
  ScheduledJob& third = Add("y", a_, Priority::kInteractive, absl::Seconds(1));
  queue_.Remove(first);
  queue_.Remove(third);
  EXPECT_EQ(queue_.NextDue(now_ + absl::Nanoseconds(1)), absl::InfiniteFuture());
  EXPECT_THAT(Take(), ElementsAre(2));
}

}  // namespace
}  // namespace attn
