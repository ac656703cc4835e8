// A worker that falls idle while another works looks for a call for a moment, and then sleeps:
// whenever one comes, it is taken.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "tests/server/executor/fake_backend.h"

namespace attn {
namespace {

using Clock = std::chrono::steady_clock;

// Two workers, of which one is held: the other one is to take whatever comes.
class ExecutorIdleTest : public testing::Test {
 protected:
  ExecutorIdleTest() {
    EXPECT_TRUE(executor_->Submit(std::move(held_call_.job())).ok());
    gate_.WaitUntilEntered();
  }
  ~ExecutorIdleTest() override { gate_.Open(); }

  // Whether the free worker takes a call that comes now.
  bool TakesCall() {
    absl::Notification taken;
    const FakeBackend backend({.tile = [&](int, int64_t) {
      free_worker_ = gettid();
      taken.Notify();
      return absl::OkStatus();
    }});
    TestCall call(backend);
    EXPECT_TRUE(executor_->Submit(std::move(call.job())).ok());
    const bool in_time = taken.WaitForNotificationWithTimeout(absl::Seconds(10));
    if (!in_time) gate_.Open();  // Else nobody would end the call.
    EXPECT_TRUE(call.outcome().status.ok());
    return in_time;
  }

  // Whether the system says of the free worker, before long, that it sleeps.
  bool FallsAsleep() const {
    const std::string path = absl::StrCat("/proc/self/task/", free_worker_.load(), "/stat");
    const auto give_up = Clock::now() + std::chrono::seconds(10);
    while (Clock::now() < give_up) {
      std::ifstream file(path);
      const std::string text(std::istreambuf_iterator<char>(file), {});  // `7 (name) S ...`
      if (text.find(") S ") != std::string::npos) return true;
      std::this_thread::yield();
    }
    return false;
  }

 private:
  Gate gate_;
  const FakeBackend held_{{.tile = [this](int, int64_t) {
    gate_.Pass();
    return absl::OkStatus();
  }}};
  TestCall held_call_{held_};
  std::atomic<pid_t> free_worker_ = 0;
  const std::unique_ptr<Executor> executor_ = MakeExecutor(2);
};

// From at once to well behind the end of the look, 50 us, with many calls about that end.
TEST_F(ExecutorIdleTest, CallIsTakenHoweverSoonItComesAfterTheLast) {
  for (int gap_us = 0; gap_us <= 200; gap_us += 2) {
    for (int call = 0; call < 10; ++call) {
      const auto until = Clock::now() + std::chrono::microseconds(gap_us);
      while (Clock::now() < until) {
      }
      ASSERT_TRUE(TakesCall()) << gap_us << " us after the last";
    }
  }
}

TEST_F(ExecutorIdleTest, CallWakesTheWorkerThatSleeps) {
  for (int call = 0; call < 10; ++call) {
    ASSERT_TRUE(TakesCall());
    ASSERT_TRUE(FallsAsleep());
  }
}

}  // namespace
}  // namespace attn
