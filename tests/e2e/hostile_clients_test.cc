// Clients that connect, call, cancel, run out of time and die, all at once: the server outlives
// them, and its counters account for every call. Under AddressSanitizer also: nothing leaks.
#include <signal.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"
#include "gtest/gtest.h"
#include "proto/attention/v1/attention.grpc.pb.h"
#include "tests/e2e/metrics_page.h"
#include "tests/e2e/server_process.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

constexpr int kThreads = 32;
constexpr int kIterations = 256;
// A process of its own costs more than all the rest of an iteration.
constexpr int kIterationsPerKill = 32;

// Some half a millisecond of work: deadlines of 1 to 4 ms meet it at every stage.
v1::AttendRequest Request() {
  v1::AttendRequest request;
  for (const char* name : {"q", "k", "v"}) {
    v1::Tensor* tensor = request.add_tensors();
    tensor->set_name(name);
    tensor->set_dtype(v1::DATA_TYPE_FP32);
    for (const int size : {1, 4, 256, 64}) tensor->add_shape(size);
    tensor->set_data(std::string(size_t{4} * 4 * 256 * 64, '\0'));
  }
  return request;
}

// How many calls ended with each code.
using Answers = std::array<std::atomic<int>, grpc::StatusCode::UNAUTHENTICATED + 1>;

class HostileClientsTest : public ::testing::Test {
 protected:
  // On a connection of its own. The call is given up after `patience`, by its deadline or by
  // cancelling it.
  void CallOnce(absl::Duration patience, bool cancel) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const auto stub = v1::AttentionService::NewStub(
        grpc::CreateCustomChannel(server_.tcp(), grpc::InsecureChannelCredentials(), arguments));
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + (cancel ? absl::Seconds(60) : patience)));
    grpc::CompletionQueue queue;
    grpc::Status status;
    v1::AttendResponse response;
    const auto call = stub->AsyncAttend(&context, request_, &queue);
    call->Finish(&response, &status, nullptr);
    if (cancel) {
      absl::SleepFor(patience);
      context.TryCancel();
    }
    void* tag = nullptr;
    bool ok = false;
    ASSERT_TRUE(queue.Next(&tag, &ok));
    ++answers_[status.error_code()];
  }

  // A client that dies with calls in flight.
  void KillClient(absl::Duration after) const {
    Process client("attn", {"--server", server_.tcp(), "load", "--shape", "1x4x256x64",
                            "--concurrency", "2", "--warmup", "0", "--duration", "60s"});
    absl::SleepFor(after);
    client.Signal(SIGKILL);
    client.Wait();
  }

  void RunClient(int thread) {
    std::mt19937 random(thread);
    for (int i = 0; i < kIterations; ++i) {
      const absl::Duration patience = absl::Milliseconds(1 + random() % 4);
      if (i % kIterationsPerKill == thread % kIterationsPerKill) {
        KillClient(absl::Milliseconds(random() % 100));
      } else if (i % 4 == 0) {
        CallOnce(absl::Seconds(60), /*cancel=*/false);
      } else {
        CallOnce(patience, /*cancel=*/i % 2 == 0);
      }
    }
  }

  int Answered(grpc::StatusCode code) const { return answers_[code]; }

  // Budgets that the load exceeds.
  ServerProcess server_{{"--max_waiting_calls", "16", "--max_running_calls", "4"}};
  const v1::AttendRequest request_ = Request();
  Answers answers_{};
};

TEST_F(HostileClientsTest, EveryCallIsAccountedForAndTheServerLives) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back([this, i] { RunClient(i); });
  for (std::thread& thread : threads) thread.join();

  int answered = 0;
  for (const std::atomic<int>& count : answers_) answered += count;
  EXPECT_EQ(answered, kThreads * (kIterations - kIterations / kIterationsPerKill));
  EXPECT_EQ(answered, Answered(grpc::OK) + Answered(grpc::CANCELLED) +
                          Answered(grpc::DEADLINE_EXCEEDED) + Answered(grpc::RESOURCE_EXHAUSTED));
  EXPECT_GT(Answered(grpc::OK), 0);
  EXPECT_GT(Answered(grpc::CANCELLED), 0);
  EXPECT_GT(Answered(grpc::DEADLINE_EXCEEDED), 0);

  // The last calls that nobody waits for end soon after.
  MetricsPage page;
  const absl::Time give_up = absl::Now() + absl::Seconds(30);
  do {
    absl::SleepFor(absl::Milliseconds(50));
    page = MetricsPage::Read(server_.metrics());
  } while (absl::Now() < give_up &&
           page.Sum("attn_calls_started_total") != page.Sum("attn_calls_ended_total"));
  const double started = page.Sum("attn_calls_started_total");
  EXPECT_GT(started, Answered(grpc::OK));
  EXPECT_EQ(started, page.Value("attn_calls_ended_total{end=\"finished\"}") +
                         page.Value("attn_calls_ended_total{end=\"refused\"}") +
                         page.Value("attn_calls_ended_total{end=\"cancelled\"}"));
  EXPECT_EQ(started, page.Sum("attn_calls_total"));
  EXPECT_EQ(page.Sum("attn_calls_refused_total"),
            page.Value("attn_calls_ended_total{end=\"refused\"}"));
  EXPECT_EQ(page.Sum("attn_calls_cancelled_total"),
            page.Value("attn_calls_ended_total{end=\"cancelled\"}"));
  EXPECT_EQ(page.Sum("attn_queue_waiting_calls"), 0);
  EXPECT_EQ(page.Sum("attn_queue_running_calls"), 0);
  EXPECT_EQ(page.Sum("attn_queue_admitted_bytes"), 0);

  CallOnce(absl::Seconds(60), /*cancel=*/false);
  const ProcessOutput stopped = server_.Stop();
  EXPECT_EQ(stopped.exit_code, 0) << stopped.err;
}

}  // namespace
}  // namespace attn
