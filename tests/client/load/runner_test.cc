// What holds up no call.
#include "client/load/runner.h"

#include <atomic>
#include <memory>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"
#include "tests/client/fake_server.h"

namespace attn::load {
namespace {

CallMix SmallMix() {
  const Entry entry = {.name = "small",
                       .tensors = {{.name = "q", .shape = {1, 1, 2, 8}},
                                   {.name = "k", .shape = {1, 1, 2, 8}},
                                   {.name = "v", .shape = {1, 1, 2, 8}}}};
  return CallMix::Create({{entry}}, 1).value();
}

// A terminal that takes no output blocks whoever writes progress lines to it.
TEST(RunCalls, GoOnWhileTheProgressLineIsBlocked) {
  FakeAttention service;
  absl::Mutex mutex;
  int calls = 0;
  service.attend = [&](grpc::ServerContext* context, const auto& request, auto* response) {
    {
      absl::MutexLock lock(&mutex);
      ++calls;
    }
    return EchoQuery(context, request, response);
  };
  const FakeServer server({&service});
  const std::unique_ptr<AttentionClient> client = server.Connect();
  std::stop_source stop;
  bool went_on = false;
  RunOptions options = {.callers = 2, .stop = stop.get_token()};
  options.progress = [&](const LiveFigures&) {
    absl::MutexLock lock(&mutex);
    // More than the callers can have had in flight already.
    const int enough = calls + 20;
    const auto made = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex) { return calls >= enough; };
    went_on = mutex.AwaitWithTimeout(absl::Condition(&made), absl::Seconds(20));
    stop.request_stop();
  };
  ClosedLoop source({.duration = absl::Minutes(2)});
  const absl::StatusOr<RunResult> result =
      RunCalls({{.address = server.tcp(), .client = client.get()}}, SmallMix(), source, options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(went_on);
  EXPECT_TRUE(result->aborted);
  EXPECT_EQ(result->max_in_flight, 2);
  EXPECT_EQ(result->measurements.failed, 0) << "what was in flight was answered";
}

}  // namespace
}  // namespace attn::load
