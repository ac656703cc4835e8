#include "server/executor/tile_scheduler.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attn {
namespace {

using testing::ElementsAre;

class TileSchedulerTest : public testing::Test {
 protected:
  // A job whose first stretch has `tiles` tiles of copying, which nobody runs.
  ScheduledJob& Admit(const std::string& caller, int64_t tiles) {
    static constexpr std::byte kNothing{};
    Job job;
    job.caller_id = caller;
    job.copies = {{nullptr, {{&kNothing, static_cast<size_t>(tiles * kCopyTileBytes)}}}};
    return scheduler_->Admit(std::make_unique<ScheduledJob>(std::move(job)));
  }

  // The ids of the jobs of the next claims, "-" for none.
  std::vector<std::string> Claims(int count) {
    std::vector<std::string> claims;
    for (int i = 0; i < count; ++i) {
      const auto claim = scheduler_->Claim();
      claims.push_back(claim ? claim->job->work.job().caller_id + std::to_string(claim->job->id)
                             : "-");
    }
    return claims;
  }

  std::unique_ptr<TileScheduler> scheduler_ = std::make_unique<TileScheduler>(4);
};

TEST_F(TileSchedulerTest, CallersTakeTurns) {
  Admit("a", 5);
  Admit("b", 2);
  Admit("c", 1);
  EXPECT_THAT(Claims(9), ElementsAre("a1", "b2", "c3", "a1", "b2", "a1", "a1", "a1", "-"));
}

TEST_F(TileSchedulerTest, NewcomerWaitsOneTurn) {
  Admit("a", 100);
  EXPECT_THAT(Claims(3), ElementsAre("a1", "a1", "a1"));
  Admit("b", 2);
  EXPECT_THAT(Claims(5), ElementsAre("a1", "b2", "a1", "b2", "a1"));
}

TEST_F(TileSchedulerTest, FirstClaimLaunches) {
  Admit("a", 2);
  EXPECT_EQ(scheduler_->waiting(), 1);
  EXPECT_TRUE(scheduler_->Claim()->launch);
  EXPECT_EQ(scheduler_->waiting(), 0);
  EXPECT_EQ(scheduler_->running(), 1);
  const auto second = scheduler_->Claim();
  EXPECT_FALSE(second->launch);
  EXPECT_EQ(second->tile, 1);
}

TEST_F(TileSchedulerTest, WithinACallerTheEarliestGoesFirst) {
  Admit("a", 2);
  Admit("a", 1);
  Admit("a", 1);
  EXPECT_THAT(Claims(2), ElementsAre("a1", "a1"));
  EXPECT_EQ(scheduler_->running(), 1);
  EXPECT_EQ(scheduler_->waiting(), 2);
  EXPECT_THAT(Claims(3), ElementsAre("a2", "a3", "-"));
}

TEST_F(TileSchedulerTest, EarlierJobComesFirstAgainWithItsNextStretch) {
  ScheduledJob& first = Admit("a", 1);
  Admit("a", 3);
  EXPECT_THAT(Claims(2), ElementsAre("a1", "a2"));
  ASSERT_TRUE(scheduler_->Return(first, absl::OkStatus()));
  scheduler_->Offer(first, 2);
  EXPECT_THAT(Claims(5), ElementsAre("a1", "a1", "a2", "a2", "-"));
}

TEST_F(TileSchedulerTest, NoMoreThanMaxRunningAreLaunchedAndCallersWaitInTurn) {
  scheduler_ = std::make_unique<TileScheduler>(2);
  ScheduledJob& a = Admit("a", 3);
  ScheduledJob& b = Admit("b", 1);
  Admit("c", 1);
  Admit("d", 1);
  Admit("a", 1);
  EXPECT_THAT(Claims(5), ElementsAre("a1", "b2", "a1", "a1", "-"));
  EXPECT_FALSE(scheduler_->has_claimable());
  EXPECT_EQ(scheduler_->waiting(), 3);

  ASSERT_TRUE(scheduler_->Return(b, absl::OkStatus()));
  scheduler_->Offer(b, 1);  // A launched job needs no new place.
  EXPECT_THAT(Claims(2), ElementsAre("b2", "-"));

  ASSERT_TRUE(scheduler_->Return(b, absl::OkStatus()));
  scheduler_->Remove(b);
  EXPECT_THAT(Claims(2), ElementsAre("c3", "-"));

  EXPECT_FALSE(scheduler_->Return(a, absl::OkStatus()));
  EXPECT_FALSE(scheduler_->Return(a, absl::OkStatus()));
  EXPECT_TRUE(scheduler_->Return(a, absl::OkStatus()));
  scheduler_->Remove(a);
  EXPECT_THAT(Claims(2), ElementsAre("d4", "-"));
}

TEST_F(TileSchedulerTest, LaunchedJobOfACallerThatWaitsForAPlaceGoesOn) {
  scheduler_ = std::make_unique<TileScheduler>(1);
  ScheduledJob& first = Admit("a", 1);
  Admit("a", 1);
  Admit("b", 1);
  EXPECT_THAT(Claims(2), ElementsAre("a1", "-"));  // Both callers are full now.
  ASSERT_TRUE(scheduler_->Return(first, absl::OkStatus()));
  scheduler_->Offer(first, 2);
  EXPECT_THAT(Claims(3), ElementsAre("a1", "a1", "-"));
}

TEST_F(TileSchedulerTest, StretchComesBackToTheOneWhoReturnsItsLastTile) {
  ScheduledJob& job = Admit("a", 3);
  EXPECT_THAT(Claims(2), ElementsAre("a1", "a1"));
  EXPECT_FALSE(scheduler_->Return(job, absl::OkStatus()));
  EXPECT_FALSE(scheduler_->Return(job, absl::OkStatus()));  // One tile was not handed out.
  EXPECT_THAT(Claims(1), ElementsAre("a1"));
  EXPECT_TRUE(scheduler_->Return(job, absl::OkStatus()));
}

TEST_F(TileSchedulerTest, ErrorStopsTheRestOfTheJob) {
  ScheduledJob& job = Admit("a", 5);
  EXPECT_THAT(Claims(2), ElementsAre("a1", "a1"));
  EXPECT_FALSE(scheduler_->Return(job, absl::DataLossError("first")));
  EXPECT_THAT(Claims(1), ElementsAre("-"));
  EXPECT_TRUE(scheduler_->Return(job, absl::InternalError("second")));
  EXPECT_EQ(job.stop, absl::DataLossError("first"));
}

TEST_F(TileSchedulerTest, StopHandsOverAJobThatNobodyHas) {
  ScheduledJob& job = Admit("a", 1);
  Admit("a", 1);
  EXPECT_TRUE(scheduler_->Stop(job, absl::CancelledError("first")));
  EXPECT_FALSE(scheduler_->Stop(job, absl::AbortedError("second")));
  EXPECT_EQ(job.stop, absl::CancelledError("first"));
  EXPECT_THAT(Claims(2), ElementsAre("a2", "-"));
  EXPECT_EQ(scheduler_->Remove(job)->stop, absl::CancelledError("first"));
  EXPECT_EQ(scheduler_->Find(1), nullptr);
  EXPECT_EQ(scheduler_->waiting(), 0);
  EXPECT_EQ(scheduler_->running(), 1);
}

TEST_F(TileSchedulerTest, StopLeavesAJobWithItsWorkers) {
  ScheduledJob& job = Admit("a", 5);
  EXPECT_THAT(Claims(2), ElementsAre("a1", "a1"));
  EXPECT_FALSE(scheduler_->Stop(job, absl::CancelledError("stop")));
  EXPECT_THAT(Claims(1), ElementsAre("-"));
  EXPECT_FALSE(scheduler_->Return(job, absl::OkStatus()));
  EXPECT_TRUE(scheduler_->Return(job, absl::OkStatus()));
}

TEST_F(TileSchedulerTest, StopOfACallerThatWaitsForAPlaceLosesNobody) {
  scheduler_ = std::make_unique<TileScheduler>(1);
  ScheduledJob& a = Admit("a", 1);
  ScheduledJob& b = Admit("b", 1);
  Admit("c", 1);
  EXPECT_THAT(Claims(2), ElementsAre("a1", "-"));
  EXPECT_TRUE(scheduler_->Stop(b, absl::CancelledError("stop")));
  scheduler_->Remove(b);
  EXPECT_FALSE(scheduler_->has_claimable());
  EXPECT_TRUE(scheduler_->Return(a, absl::OkStatus()));
  scheduler_->Remove(a);
  EXPECT_THAT(Claims(2), ElementsAre("c3", "-"));
}

}  // namespace
}  // namespace attn
