#include "server/executor/tile_scheduler.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/executor/fake_backend.h"

namespace attn {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

class TileSchedulerTest : public testing::Test {
 protected:
  // A job whose first stretch has `tiles` tiles, which nobody runs.
  ScheduledJob& Admit(const std::string& caller, int64_t tiles,
                      Priority priority = Priority::kInteractive,
                      const Backend* backend = nullptr) {
    Job job;
    job.backend = backend == nullptr ? &backend_ : backend;
    job.caller_id = caller;
    job.priority = priority;
    auto scheduled = std::make_unique<ScheduledJob>(std::move(job));
    scheduled->id = ++last_id_;
    return scheduler_->Admit(std::move(scheduled), tiles);
  }

  // Each alone: batches launch calls before their turn.
  static ExecutorLimits Alone(int max_running) {
    return {.max_running = max_running, .max_batch_calls = 1};
  }

  // The ids of the jobs of the next claims, "-" for none.
  std::vector<std::string> Claims(int count) {
    std::vector<std::string> claims;
    for (int i = 0; i < count; ++i) {
      const auto claim = scheduler_->Claim();
      claims.push_back(claim ? claim->job->job().caller_id + std::to_string(claim->job->id) : "-");
    }
    return claims;
  }

  const FakeBackend backend_{{}};
  const FakeBackend other_backend_{{}};
  const FakeBackend launching_{{.launch = [](std::span<absl::Status>) {}}};
  std::unique_ptr<TileScheduler> scheduler_ = std::make_unique<TileScheduler>(Alone(4));
  JobId last_id_ = 0;
};

// A tile of 5 ms costs five turns: a small call in three stretches goes before the next one.
TEST_F(TileSchedulerTest, LongTilesArePaidForInTurns) {
  ScheduledJob& huge = Admit("huge", 100);
  ASSERT_THAT(Claims(1), ElementsAre("huge1"));
  ScheduledJob& small = Admit("small", 2);
  EXPECT_FALSE(scheduler_->Return(huge, absl::OkStatus(), absl::Milliseconds(5)));
  EXPECT_THAT(Claims(2), ElementsAre("small2", "small2"));
  EXPECT_FALSE(scheduler_->Return(small, absl::OkStatus()));
  EXPECT_TRUE(scheduler_->Return(small, absl::OkStatus()));
  scheduler_->Offer(small, 10);
  EXPECT_THAT(Claims(7),
              ElementsAre("small2", "small2", "small2", "huge1", "small2", "huge1", "small2"));
}

TEST_F(TileSchedulerTest, WhoOwesTurnsGoesOnWhereNobodyElseCan) {
  ScheduledJob& huge = Admit("huge", 100);
  ASSERT_THAT(Claims(1), ElementsAre("huge1"));
  EXPECT_FALSE(scheduler_->Return(huge, absl::OkStatus(), absl::Seconds(1000)));
  EXPECT_THAT(Claims(3), ElementsAre("huge1", "huge1", "huge1"));
  // Its debt is bounded, and two that owe take turns.
  ScheduledJob& other = Admit("other", 200);
  EXPECT_THAT(Claims(66), testing::Contains("huge1"));
  EXPECT_FALSE(scheduler_->Return(other, absl::OkStatus(), absl::Milliseconds(3)));
  EXPECT_FALSE(scheduler_->Return(huge, absl::OkStatus(), absl::Milliseconds(3)));
  EXPECT_THAT(Claims(4), testing::IsSupersetOf({"huge1", "other2"}));
}

TEST_F(TileSchedulerTest, BatchCallsPayForLongTilesAsAClass) {
  ScheduledJob& batch = Admit("batch", 10, Priority::kBatch);
  ASSERT_THAT(Claims(1), ElementsAre("batch1"));
  EXPECT_FALSE(scheduler_->Return(batch, absl::OkStatus(), absl::Milliseconds(2)));
  Admit("a", 100);
  const std::vector<std::string> claims = Claims(30);
  // Two turns owed are 14 interactive ones, then as ever every eighth.
  EXPECT_EQ(std::find(claims.begin(), claims.end(), "batch1") - claims.begin(), 21);
  EXPECT_EQ(std::count(claims.begin(), claims.end(), "batch1"), 2);
}

// An eighth of the time, whatever tiles take.
TEST_F(TileSchedulerTest, BatchCallsHaveTheirEighthOfLongTiles) {
  ScheduledJob& batch = Admit("batch", 1000, Priority::kBatch);
  ScheduledJob& a = Admit("a", 1000);
  int batch_claims = 0;
  for (int i = 0; i < 800; ++i) {
    const auto claim = scheduler_->Claim();
    batch_claims += claim->job == &batch ? 1 : 0;
    ScheduledJob& job = claim->job == &batch ? batch : a;
    EXPECT_FALSE(scheduler_->Return(job, absl::OkStatus(), absl::Milliseconds(10)));
  }
  EXPECT_GE(batch_claims, 90);
  EXPECT_LE(batch_claims, 110);
}

// Whatever comes in whatever order: what can be claimed is claimed, and every call ends.
TEST_F(TileSchedulerTest, DrawnCallsWithTilesOfAnyLengthAllEnd) {
  std::mt19937 random(1);
  const auto draw = [&random](int end) { return static_cast<int>(random() % end); };
  for (int round = 0; round < 100; ++round) {
    const int max_running = 1 + round % 4;
    scheduler_ = std::make_unique<TileScheduler>(Alone(max_running));
    std::vector<ScheduledJob*> claimed;
    int admitted = 0;
    int ended = 0;
    while (ended < 300) {
      if (admitted < 300 && (draw(2) == 0 || scheduler_->jobs().empty())) {
        Admit(std::string(1, static_cast<char>('a' + draw(8))), 1 + draw(12),
              draw(4) == 0 ? Priority::kBatch : Priority::kInteractive);
        ++admitted;
      }
      if (draw(2) == 0 && scheduler_->has_claimable()) {
        const auto claim = scheduler_->Claim();
        ASSERT_TRUE(claim.has_value());
        claimed.push_back(claim->job);
      }
      if (!claimed.empty() && draw(2) == 0) {
        const size_t at = random() % claimed.size();
        ScheduledJob& job = *claimed[at];
        claimed.erase(claimed.begin() + static_cast<std::ptrdiff_t>(at));
        if (!scheduler_->Return(job, absl::OkStatus(), absl::Milliseconds(draw(8)))) continue;
        scheduler_->Remove(job);
        ++ended;
      }
    }
    EXPECT_TRUE(scheduler_->jobs().empty());
  }
}

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
  ScheduledJob& job = Admit("a", 2);
  EXPECT_FALSE(job.launched);
  EXPECT_THAT(scheduler_->Claim()->launched, ElementsAre(&job));
  EXPECT_TRUE(job.launched);
  EXPECT_EQ(job.batch_calls, 1);
  const auto second = scheduler_->Claim();
  EXPECT_TRUE(second->launched.empty());
  EXPECT_EQ(second->tile, 1);
}

TEST_F(TileSchedulerTest, WithinACallerTheEarliestGoesFirst) {
  Admit("a", 2);
  Admit("a", 1);
  Admit("a", 1);
  EXPECT_THAT(Claims(2), ElementsAre("a1", "a1"));
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
  scheduler_ = std::make_unique<TileScheduler>(Alone(2));
  ScheduledJob& a = Admit("a", 3);
  ScheduledJob& b = Admit("b", 1);
  Admit("c", 1);
  Admit("d", 1);
  Admit("a", 1);
  EXPECT_THAT(Claims(5), ElementsAre("a1", "b2", "a1", "a1", "-"));
  EXPECT_FALSE(scheduler_->has_claimable());

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
  scheduler_ = std::make_unique<TileScheduler>(Alone(1));
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
  EXPECT_TRUE(scheduler_->Stop(job, absl::CancelledError("first"), CallEnd::kCancelled));
  EXPECT_FALSE(scheduler_->Stop(job, absl::AbortedError("second"), CallEnd::kCancelled));
  EXPECT_EQ(job.stop, absl::CancelledError("first"));
  EXPECT_THAT(Claims(2), ElementsAre("a2", "-"));
  EXPECT_EQ(scheduler_->Remove(job)->stop, absl::CancelledError("first"));
  EXPECT_EQ(scheduler_->Find(1), nullptr);
}

TEST_F(TileSchedulerTest, StopLeavesAJobWithItsWorkers) {
  ScheduledJob& job = Admit("a", 5);
  EXPECT_THAT(Claims(2), ElementsAre("a1", "a1"));
  EXPECT_FALSE(scheduler_->Stop(job, absl::CancelledError("stop"), CallEnd::kCancelled));
  EXPECT_THAT(Claims(1), ElementsAre("-"));
  EXPECT_FALSE(scheduler_->Return(job, absl::OkStatus()));
  EXPECT_TRUE(scheduler_->Return(job, absl::OkStatus()));
}

TEST_F(TileSchedulerTest, StopOfACallerThatWaitsForAPlaceLosesNobody) {
  scheduler_ = std::make_unique<TileScheduler>(Alone(1));
  ScheduledJob& a = Admit("a", 1);
  ScheduledJob& b = Admit("b", 1);
  Admit("c", 1);
  EXPECT_THAT(Claims(2), ElementsAre("a1", "-"));
  EXPECT_TRUE(scheduler_->Stop(b, absl::CancelledError("stop"), CallEnd::kCancelled));
  scheduler_->Remove(b);
  EXPECT_FALSE(scheduler_->has_claimable());
  EXPECT_TRUE(scheduler_->Return(a, absl::OkStatus()));
  scheduler_->Remove(a);
  EXPECT_THAT(Claims(2), ElementsAre("c3", "-"));
}

TEST_F(TileSchedulerTest, InteractiveFirstAndEveryEighthTurnIsABatchCalls) {
  Admit("b", 3, Priority::kBatch);
  Admit("i", 100);
  EXPECT_THAT(Claims(17), ElementsAre("i2", "i2", "i2", "i2", "i2", "i2", "i2", "b1", "i2", "i2",
                                      "i2", "i2", "i2", "i2", "i2", "b1", "i2"));
}

TEST_F(TileSchedulerTest, BatchCallsHaveEveryTurnThatNobodyElseWants) {
  Admit("b", 3, Priority::kBatch);
  EXPECT_THAT(Claims(2), ElementsAre("b1", "b1"));
  Admit("i", 1);
  EXPECT_THAT(Claims(3), ElementsAre("i2", "b1", "-"));
}

TEST_F(TileSchedulerTest, BatchCallsLeaveAQuarterOfTheSlots) {
  for (const char* caller : {"a", "b", "c", "d"}) Admit(caller, 1, Priority::kBatch);
  EXPECT_THAT(Claims(4), ElementsAre("a1", "b2", "c3", "-"));
  Admit("i", 1);
  EXPECT_THAT(Claims(2), ElementsAre("i5", "-"));
}

TEST_F(TileSchedulerTest, OnlySlotIsKeptForABatchCallThatWasPassedOver) {
  scheduler_ = std::make_unique<TileScheduler>(Alone(1));
  Admit("i", 1);
  EXPECT_THAT(Claims(1), ElementsAre("i1"));
  Admit("b", 1, Priority::kBatch);
  std::vector<std::string> order;
  for (JobId running = 1; order.size() < 9;) {
    Admit("i", 1);  // There is always an interactive call that waits.
    ScheduledJob& job = *scheduler_->Find(running);
    ASSERT_TRUE(scheduler_->Return(job, absl::OkStatus()));
    scheduler_->Remove(job);
    const auto claim = scheduler_->Claim();
    ASSERT_TRUE(claim);
    running = claim->job->id;
    order.push_back(claim->job->job().caller_id);
  }
  EXPECT_EQ(std::count(order.begin(), order.end(), "b"), 1);
}

TEST_F(TileSchedulerTest, FreeSlotGoesToTheCallerThatHadNone) {
  scheduler_ = std::make_unique<TileScheduler>(Alone(2));
  ScheduledJob& first = Admit("a", 1);
  Admit("a", 1);
  EXPECT_THAT(Claims(2), ElementsAre("a1", "a2"));  // Both slots.
  Admit("a", 1);
  Admit("b", 1);
  Admit("a", 1);
  EXPECT_THAT(Claims(1), ElementsAre("-"));
  ASSERT_TRUE(scheduler_->Return(first, absl::OkStatus()));
  scheduler_->Remove(first);
  ASSERT_TRUE(scheduler_->has_claimable());
  const auto next = Claims(1);
  ScheduledJob& second = *scheduler_->Find(2);
  ASSERT_TRUE(scheduler_->Return(second, absl::OkStatus()));
  scheduler_->Remove(second);
  // Whichever was first, the other caller is next.
  EXPECT_THAT((std::vector{next[0], Claims(1)[0]}), UnorderedElementsAre("a3", "b4"));
}

TEST_F(TileSchedulerTest, BatchTakesCallsOfOneBackendAndClassOneACaller) {
  scheduler_ = std::make_unique<TileScheduler>(ExecutorLimits{.max_running = 16});
  ScheduledJob& a = Admit("a", 1);
  ScheduledJob& second_of_a = Admit("a", 1);
  ScheduledJob& b = Admit("b", 1);
  ScheduledJob& other = Admit("c", 1, Priority::kInteractive, &other_backend_);
  ScheduledJob& batch = Admit("d", 1, Priority::kBatch);
  ScheduledJob& e = Admit("e", 1);
  const auto claim = scheduler_->Claim();
  EXPECT_THAT(claim->launched, ElementsAre(&a, &b, &e));
  EXPECT_EQ(a.batch_calls, 3);
  EXPECT_EQ(b.batch_calls, 3);
  EXPECT_EQ(e.batch_calls, 3);
  EXPECT_FALSE(second_of_a.launched);
  EXPECT_FALSE(other.launched);
  EXPECT_FALSE(batch.launched);
}

TEST_F(TileSchedulerTest, BatchIsBoundedBySizeAndByFreeSlots) {
  for (const int max_calls : {3, 9}) {
    scheduler_ = std::make_unique<TileScheduler>(
        ExecutorLimits{.max_running = 4, .max_batch_calls = max_calls});
    for (int i = 0; i < 9; ++i) Admit(std::string(1, static_cast<char>('a' + i)), 1);
    EXPECT_EQ(scheduler_->Claim()->launched.size(), std::min(max_calls, 4));
  }
}

TEST_F(TileSchedulerTest, CopiesForALaunchNeedNoSlot) {
  scheduler_ = std::make_unique<TileScheduler>(Alone(1));
  Admit("a", 1);
  Admit("a", 1);
  EXPECT_THAT(Claims(2), ElementsAre("a1", "-"));
  ScheduledJob& job = Admit("a", 1, Priority::kInteractive, &launching_);
  const auto claim = scheduler_->Claim();
  ASSERT_TRUE(claim);
  EXPECT_EQ(claim->job, &job);
  EXPECT_TRUE(claim->launched.empty());
  EXPECT_FALSE(job.launched);
}

TEST_F(TileSchedulerTest, MoreSlotsAreUsedAtOnce) {
  scheduler_ = std::make_unique<TileScheduler>(Alone(1));
  for (const char* caller : {"a", "b", "c"}) Admit(caller, 1);
  EXPECT_THAT(Claims(2), ElementsAre("a1", "-"));
  scheduler_->SetLimits(Alone(3));
  EXPECT_THAT(Claims(3), ElementsAre("b2", "c3", "-"));
}

}  // namespace
}  // namespace attn
