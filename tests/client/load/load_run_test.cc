// What `attn load` measures.
#include <atomic>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/client/load/load_fixture.h"

namespace attn::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;

using LoadRun = LoadCommand;

TEST_F(LoadRun, CountsAddUpAndEveryCodeIsNamed) {
  std::atomic<int> calls = 0;
  service_.attend = [&](grpc::ServerContext* context, const auto& request, auto* response) {
    const int call = ++calls;
    if (call % 10 == 0) {
      context->AddTrailingMetadata("retry-after-ms", "5");
      return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full");
    }
    if (call % 10 == 5) return grpc::Status(grpc::StatusCode::INTERNAL, "a bug");
    return EchoQuery(context, request, response);
  };
  const AttnOutput output = Load({"--requests", "200", "--concurrency", "4"});
  EXPECT_EQ(output.exit_code, 1);
  const json load = output.json()["load"];
  EXPECT_EQ(calls, 200) << "nothing is retried";
  EXPECT_EQ(load["completed"], 160);
  EXPECT_EQ(load["failed"], 40);
  EXPECT_EQ(load["errors"], json({{"INTERNAL", 20}, {"RESOURCE_EXHAUSTED", 20}}));
  EXPECT_THAT(load["error_examples"]["RESOURCE_EXHAUSTED"], HasSubstr("the queue is full"));
  EXPECT_EQ(load["retry_hints_not_followed"], 20);
  int64_t in_timeline = 0;
  for (const char* key : {"completed", "failed"}) {
    for (const json& count : load["timeline"][key]) in_timeline += count.get<int64_t>();
  }
  EXPECT_EQ(in_timeline, 200);
}

TEST_F(LoadRun, StepsOfConcurrencyAreRunsOfTheirOwn) {
  const AttnOutput output = Load({"--requests", "20", "--concurrency", "1,2,4"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const json load = output.json()["load"];
  ASSERT_EQ(load["steps"].size(), 3);
  EXPECT_EQ(load["steps"][1]["concurrency"], 2);
  EXPECT_EQ(load["steps"][1]["completed"], 20);
  EXPECT_EQ(load["concurrency"], 4) << "the last one is the report's own";
}

// A server that stands still once for a while: calls that are due meanwhile wait for nobody, and
// their corrected latency says how long they were held up, though few were sent into the stall.
TEST_F(LoadRun, AnInjectedStallShowsInCorrectedLatencyOfAnOpenLoop) {
  constexpr absl::Duration kStall = absl::Milliseconds(600);
  absl::Mutex stalled;
  std::atomic<int> calls = 0;
  service_.attend = [&](grpc::ServerContext* context, const auto& request, auto* response) {
    absl::MutexLock lock(&stalled);
    if (++calls == 100) absl::SleepFor(kStall);
    return EchoQuery(context, request, response);
  };
  // Four in flight: the rest of what is due in the stall is sent late.
  const AttnOutput output =
      Load({"--rate", "200", "--requests", "400", "--max_in_flight", "4", "--connections", "1"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const json load = output.json()["load"];
  EXPECT_EQ(load["completed"], 400);
  const json& corrected = load["latency_ms"];
  const json& uncorrected = load["uncorrected_latency_ms"];
  EXPECT_GE(corrected["max"].get<double>(), 590);
  EXPECT_GE(corrected["p90"].get<double>(), 200) << "120 calls of 400 were due in the stall";
  EXPECT_LT(uncorrected["p90"].get<double>(), corrected["p90"].get<double>() / 2)
      << "only four were sent into it";
  EXPECT_GE(load["late_sends"].get<int>(), 100);
  EXPECT_GE(load["send_delay_ms"]["max"].get<double>(), 400);
  EXPECT_EQ(load["max_in_flight"], 4);
}

// With room enough in flight, no send waits for an answer.
TEST_F(LoadRun, AnOpenLoopSendsWhileTheServerStandsStill) {
  absl::Mutex mutex;
  int arrived = 0;
  service_.attend = [&](grpc::ServerContext* context, const auto& request, auto* response) {
    {
      absl::MutexLock lock(&mutex);
      ++arrived;
      const auto all_are_there = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex) { return arrived == 30; };
      // Nobody is answered before the last one has been sent.
      if (!mutex.AwaitWithTimeout(absl::Condition(&all_are_there), absl::Seconds(20))) {
        return grpc::Status(grpc::StatusCode::ABORTED, "the others never came");
      }
    }
    return EchoQuery(context, request, response);
  };
  const AttnOutput output = Load({"--rate", "1000", "--requests", "30", "--max_in_flight", "64"});
  EXPECT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(output.json()["load"]["max_in_flight"], 30);
}

// One caller, held up until all but its first call are too late.
TEST_F(LoadRun, CallsThatAreNotSentCountInTheirEntryAndWhenTheyWereDue) {
  const std::string path = absl::StrCat(testing::TempDir(), "/load_run_test_mix.json");
  std::ofstream(path) << R"({"entries": [{"shape": [1, 1, 2, 8]}, {"shape": [1, 1, 4, 8]}]})";
  service_.attend = [](grpc::ServerContext* context, const auto& request, auto* response) {
    absl::SleepFor(absl::Milliseconds(100 + 1000 + 300));
    return EchoQuery(context, request, response);
  };
  const AttnOutput output =
      RunAttn({"load", "--workload", path, "--warmup", "0", "--json", "--rate", "200", "--duration",
               "100ms", "--max_in_flight", "1"});
  EXPECT_EQ(output.exit_code, 1);
  const json load = output.json()["load"];
  EXPECT_EQ(load["completed"], 1);
  EXPECT_EQ(load["failed"], 19);
  EXPECT_EQ(load["errors"], json({{"NOT_SENT", 19}}));
  const int first = load["entries"][0]["failed"];
  EXPECT_GT(first, 0);
  EXPECT_EQ(first + load["entries"][1]["failed"].get<int>(), 19);
  // Of 50 ms each, in which ten calls are due.
  EXPECT_EQ(load["timeline"]["failed"][0], 9) << "the first one was sent";
  EXPECT_EQ(load["timeline"]["failed"][1], 10);
  EXPECT_EQ(load["timeline"]["sent"][0], 1);
}

TEST_F(LoadRun, ARunWhoseEveryCallFailsIsReported) {
  service_.attend = [](grpc::ServerContext* context, const auto&, auto*) {
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    return grpc::Status::CANCELLED;
  };
  // Too short for anything, but it is not that of the calls which connect.
  const AttnOutput output = RunAttn({"load", "--shape", "1x2x4x8", "--json", "--warmup", "5",
                                     "--requests", "20", "--timeout", "1ms"});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_THAT(output.err, HasSubstr("20 of 20 calls failed"));
  const json load = output.json()["load"];
  EXPECT_EQ(load["completed"], 0);
  EXPECT_EQ(load["errors"], json({{"DEADLINE_EXCEEDED", 20}}));
}

TEST_F(LoadRun, ServiceLevelsDecideTheExitCode) {
  std::atomic<int> calls = 0;
  service_.attend = [&](grpc::ServerContext* context, const auto& request, auto* response) {
    if (++calls % 10 == 0) return grpc::Status(grpc::StatusCode::INTERNAL, "a bug");
    return EchoQuery(context, request, response);
  };
  EXPECT_EQ(Load({"--requests", "50", "--max_error_rate", "0.1"}).exit_code, 0);
  const AttnOutput rate = Load({"--requests", "50", "--max_error_rate", "0.05"});
  EXPECT_EQ(rate.exit_code, 1);
  EXPECT_THAT(rate.err, HasSubstr("service level violated: error rate 0.1000, allowed: 0.05"));
  EXPECT_FALSE(rate.json()["load"]["slo"]["met"].get<bool>());
  service_.attend = EchoQuery;
  EXPECT_EQ(Load({"--requests", "50", "--max_p99_ms", "60000"}).exit_code, 0);
  const AttnOutput p99 = Load({"--requests", "50", "--max_p99_ms", "0.000001"});
  EXPECT_EQ(p99.exit_code, 1);
  EXPECT_THAT(p99.err, HasSubstr("service level violated: p99"));
}

TEST_F(LoadRun, AViolatedServiceLevelEndsARunThatIsToldTo) {
  const AttnOutput output =
      Load({"--duration", "10m", "--max_p99_ms", "0.000001", "--abort_on_slo"});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_TRUE(output.json()["load"]["aborted"].get<bool>());
  EXPECT_LT(output.json()["load"]["seconds"].get<double>(), 60);
}

TEST_F(LoadRun, VerificationCountsWrongAnswersAsFailed) {
  std::atomic<int> checks = 0;
  service_.attend = [&](grpc::ServerContext* context, const auto& request, auto* response) {
    const grpc::Status status = EchoQuery(context, request, response);
    if (request.scope_id().empty()) return status;
    // To the oracle's: in fp32, and the second one wrong.
    attention::v1::Tensor& out = *response->mutable_outputs(0);
    std::vector<float> values;
    for (size_t i = 0; i < out.data().size(); i += 4) {
      float value;
      std::memcpy(&value, out.data().data() + i, 4);
      values.push_back(checks == 1 ? value + 1 : value);
    }
    ++checks;
    out.set_data(std::string(reinterpret_cast<char*>(values.data()), values.size() * 4));
    return status;
  };
  const AttnOutput output = Load({"--requests", "20", "--verify_every", "5", "--dtype", "fp32"});
  EXPECT_EQ(output.exit_code, 1);
  const json load = output.json()["load"];
  EXPECT_EQ(load["verification"]["checked"], 4);
  EXPECT_EQ(load["verification"]["mismatched"], 1);
  EXPECT_EQ(load["errors"], json({{"MISMATCH", 1}}));
  EXPECT_EQ(load["completed"], 19);
}

TEST_F(LoadRun, CallsGoToTheTargetsInTurn) {
  FakeAttention other_service;
  std::atomic<int> calls = 0;
  other_service.attend = [&](grpc::ServerContext* context, const auto& request, auto* response) {
    ++calls;
    return EchoQuery(context, request, response);
  };
  FakeServer other({&other_service});
  const AttnOutput output =
      Load({"--requests", "40", "--target", absl::StrCat(server_.tcp(), ",", other.unix_socket())});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(calls, 20);
  EXPECT_EQ(output.json()["load"]["environment"]["servers"].size(), 2);
}

TEST_F(LoadRun, FindsTheHighestRateWithinTheServiceLevel) {
  // Serves one call at a time, 2 ms each: 500 a second.
  absl::Mutex one_at_a_time;
  service_.attend = [&](grpc::ServerContext* context, const auto& request, auto* response) {
    absl::MutexLock lock(&one_at_a_time);
    absl::SleepFor(absl::Milliseconds(2));
    return EchoQuery(context, request, response);
  };
  const AttnOutput output =
      Load({"--rate", "100", "--find_max_rate", "--max_p99_ms", "2000", "--duration", "400ms"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const json load = output.json()["load"];
  // A busy machine may have the first tries fail; above 556 none can be served to nine tenths.
  EXPECT_GE(load["search"]["max_rate"].get<double>(), 25);
  EXPECT_LE(load["search"]["max_rate"].get<double>(), 800);
  EXPECT_TRUE(load["slo"]["met"].get<bool>());
  EXPECT_EQ(load["steps"].size(), load["search"]["probes"].size());
}

}  // namespace
}  // namespace attn::cli
