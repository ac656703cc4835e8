// What an operator's Prometheus sees of a real server.
#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/metrics_page.h"
#include "tests/e2e/plain_call.h"
#include "tests/e2e/server_process.h"

namespace attn {
namespace {

namespace v1 = attention::v1;
using ::testing::HasSubstr;

TEST(ObservabilityTest, EveryMetricIsThereAfterOneCall) {
  const ServerProcess server;
  const auto stub = ConnectPlain(server.tcp());
  ASSERT_TRUE(Attend(*stub, PlainRequest()).status.ok());
  ASSERT_TRUE(Attend(*ConnectPlain(server.unix_socket()), PlainRequest()).status.ok());
  const MetricsPage page = MetricsPage::Read(server.metrics());
  for (const char* declared : {
           "attn_calls_started_total counter",
           "attn_calls_total counter",
           "attn_calls_ended_total counter",
           "attn_calls_refused_total counter",
           "attn_calls_cancelled_total counter",
           "attn_selections_total counter",
           "attn_call_stage_seconds histogram",
           "attn_call_sparsity histogram",
           "attn_batch_calls histogram",
           "attn_payload_bytes_total counter",
           "attn_flops_total counter",
           "attn_queue_waiting_calls gauge",
           "attn_queue_running_calls gauge",
           "attn_queue_admitted_bytes gauge",
           "attn_scopes gauge",
           "attn_forced_override gauge",
           "attn_backend_available gauge",
           "attn_backend_quarantined gauge",
           "attn_ready gauge",
           "attn_draining gauge",
           "attn_config_reloads_total counter",
           "attn_log_lines_dropped_total counter",
           "attn_build_info gauge",
           "attn_cpu_isa gauge",
           "process_resident_memory_bytes gauge",
           "process_cpu_seconds_total counter",
           "process_open_fds gauge",
           "process_max_fds gauge",
           "process_start_time_seconds gauge",
           "process_threads gauge",
       }) {
    EXPECT_THAT(page.text(), HasSubstr(absl::StrCat("# TYPE ", declared, "\n")));
  }
  const double request_bytes = static_cast<double>(PlainRequest().ByteSizeLong());
  EXPECT_EQ(page.Value("attn_payload_bytes_total{direction=\"in\",transport=\"tcp\"}"),
            request_bytes);
  EXPECT_EQ(page.Value("attn_payload_bytes_total{direction=\"in\",transport=\"unix\"}"),
            request_bytes);
  EXPECT_EQ(page.Value("attn_payload_bytes_total{direction=\"out\",transport=\"tcp\"}"),
            2.0 * 64 * 4);
  // 2 x 2 scores of 64 + 64 multiply-adds, two calls.
  EXPECT_EQ(page.Value("attn_flops_total{backend=\"flash\",kind=\"effective\"}"),
            2 * 2.0 * (64 + 64) * 4);
  EXPECT_EQ(page.Value("attn_batch_calls_sum{backend=\"flash\"}"), 2);
  EXPECT_EQ(page.Value("attn_ready"), 1);
  EXPECT_EQ(page.Value("attn_draining"), 0);
  EXPECT_EQ(page.Value("attn_backend_available{backend=\"flash\",device=\"cpu\"}"), 1);
  EXPECT_GT(page.Value("process_resident_memory_bytes"), 1e6);
}

TEST(ObservabilityTest, PromtoolFindsNothingToCriticise) {
  const std::string promtool = ATTN_PROMTOOL;
  if (access(promtool.c_str(), X_OK) != 0) {
    GTEST_SKIP() << "promtool (Debian package prometheus) was not found when this was configured";
  }
  const ServerProcess server;
  const auto stub = ConnectPlain(server.tcp());
  ASSERT_TRUE(Attend(*stub, PlainRequest()).status.ok());
  ASSERT_FALSE(Attend(*stub, v1::AttendRequest()).status.ok());
  MetricsPage::Read(server.metrics());  // The endpoint counts its own scrapes.
  const std::string file = absl::StrCat(::testing::TempDir(), "attnd_metrics_", getpid());
  std::ofstream(file) << MetricsPage::Read(server.metrics()).text();
  const ProcessOutput check =
      RunProgram("/bin/bash", {"-c", "'" + promtool + "' check metrics < '" + file + "'"});
  unlink(file.c_str());
  EXPECT_EQ(check.exit_code, 0);
  EXPECT_EQ(check.out + check.err, "");
}

TEST(ObservabilityTest, SteeringShowsInTheMetrics) {
  ServerProcess server;
  const auto client = server.Connect();
  const auto value = [&server](const std::string& series) {
    return MetricsPage::Read(server.metrics()).Value(series);
  };
  EXPECT_EQ(value("attn_forced_override{backend=\"eager\"}"), 0);
  ASSERT_TRUE(client->SetForcedOverride("eager").ok());
  EXPECT_EQ(value("attn_forced_override{backend=\"eager\"}"), 1);
  ASSERT_TRUE(client->ClearForcedOverride().ok());
  EXPECT_EQ(value("attn_forced_override{backend=\"eager\"}"), 0);

  ASSERT_TRUE(client->QuarantineBackend("eager", "a test").ok());
  EXPECT_EQ(value("attn_backend_quarantined{automatic=\"false\",backend=\"eager\"}"), 1);
  ASSERT_TRUE(client->ReleaseBackend("eager").ok());
  EXPECT_EQ(value("attn_backend_quarantined{automatic=\"false\",backend=\"eager\"}"), 0);

  v1::HoldScopeRequest scope;
  scope.set_backend("eager");
  const auto calls = client->HoldScope(scope, false);
  const auto process = client->HoldScope(scope, true);
  ASSERT_TRUE(calls.ok() && process.ok());
  EXPECT_EQ(value("attn_scopes{kind=\"calls\"}"), 1);
  EXPECT_EQ(value("attn_scopes{kind=\"process\"}"), 1);
}

TEST(ObservabilityTest, WhatAnOperatorChangesIsLogged) {
  ServerProcess server({"--log_format", "text"});
  const auto client = server.Connect();
  ASSERT_TRUE(client->SetForcedOverride("flash").ok());
  ASSERT_TRUE(client->SetForcedOverride("FLASH_ATTN").ok());
  ASSERT_TRUE(client->ClearForcedOverride().ok());
  ASSERT_TRUE(client->QuarantineBackend("eager", "wrong images").ok());
  ASSERT_TRUE(client->ReleaseBackend("eager").ok());
  ASSERT_FALSE(client->ReleaseBackend("eager").ok());
  const std::string log = server.Stop().err;
  for (const char* line : {
           "level=info msg=\"backend forced by an operator\" backend=flash previous=\"\"\n",
           "level=info msg=\"backend forced by an operator\" backend=FLASH_ATTN previous=flash\n",
           "level=info msg=\"forced backend cleared by an operator\" previous=FLASH_ATTN\n",
           "level=info msg=\"backend quarantined by an operator\" backend=eager "
           "reason=\"wrong images\"\n",
           "level=info msg=\"backend released by an operator\" backend=eager\n",
       }) {
    const size_t at = log.find(line);
    EXPECT_NE(at, std::string::npos) << line << log;
    EXPECT_EQ(log.find(line, at + 1), std::string::npos) << "twice: " << line;
  }
}

TEST(ObservabilityTest, CallersCannotGrowTheSeries) {
  const ServerProcess server;
  const auto stub = ConnectPlain(server.tcp());
  const auto attack = [&stub](int i) {
    const std::string hostile = absl::StrCat("hostile-", i);
    v1::AttendRequest request = PlainRequest();
    request.mutable_metadata()->set_caller_id(hostile);
    EXPECT_TRUE(Attend(*stub, request, {{"x-request-id", hostile}}).status.ok());
    request.set_model(hostile);
    EXPECT_EQ(Attend(*stub, request).status.error_code(), grpc::StatusCode::NOT_FOUND);
    request.clear_model();
    request.set_backend(hostile);
    EXPECT_EQ(Attend(*stub, request).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  };
  attack(0);
  MetricsPage::Read(server.metrics());  // The endpoint counts its own scrapes.
  const MetricsPage before = MetricsPage::Read(server.metrics());
  for (int i = 1; i < 1000; ++i) attack(i);
  const MetricsPage after = MetricsPage::Read(server.metrics());
  EXPECT_EQ(after.series().size(), before.series().size());
  EXPECT_THAT(after.text(), ::testing::Not(HasSubstr("hostile")));
  EXPECT_EQ(after.Sum("attn_calls_started_total"), 3000);
  EXPECT_EQ(after.Sum("attn_calls_total", "code=\"NOT_FOUND\""), 1000);
}

// Waits until every call that was started has ended.
MetricsPage AtRest(const ServerProcess& server) {
  const absl::Time give_up = absl::Now() + absl::Seconds(30);
  MetricsPage page = MetricsPage::Read(server.metrics());
  while (absl::Now() < give_up &&
         page.Sum("attn_calls_started_total") != page.Sum("attn_calls_ended_total")) {
    absl::SleepFor(absl::Milliseconds(20));
    page = MetricsPage::Read(server.metrics());
  }
  return page;
}

TEST(ObservabilityTest, EveryCallEndsAsOneThing) {
  const ServerProcess server({"--max_running_calls", "1", "--max_waiting_calls", "1"});
  const auto stub = ConnectPlain(server.tcp());
  const v1::AttendRequest slow = PlainRequest(8, 2048);  // About 250 ms.
  const auto call_for = [&](const v1::AttendRequest& request, absl::Duration patience) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + patience));
    v1::AttendResponse response;
    return stub->Attend(&context, request, &response).error_code();
  };
  // Good, malformed, unknown; late at every stage; one that is running, one that waits, one that
  // finds no room; a caller that cancels.
  EXPECT_EQ(call_for(PlainRequest(), absl::Seconds(60)), grpc::StatusCode::OK);
  EXPECT_EQ(call_for(v1::AttendRequest(), absl::Seconds(60)), grpc::StatusCode::INVALID_ARGUMENT);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(call_for(slow, absl::Milliseconds(1 + i)), grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) callers.emplace_back([&] { call_for(slow, absl::Seconds(60)); });
  for (std::thread& caller : callers) caller.join();
  grpc::ClientContext context;
  v1::AttendResponse response;
  const v1::AttendRequest long_enough = PlainRequest(8, 16384);  // To be seen running: seconds.
  std::thread cancelled([&] { stub->Attend(&context, long_enough, &response); });
  const absl::Time give_up = absl::Now() + absl::Seconds(30);
  while (MetricsPage::Read(server.metrics()).Sum("attn_queue_running_calls") == 0 &&
         absl::Now() < give_up) {
  }
  EXPECT_LT(absl::Now(), give_up) << "the call never ran";
  context.TryCancel();
  cancelled.join();

  const MetricsPage page = AtRest(server);
  const double started = page.Sum("attn_calls_started_total");
  const auto ended = [&page](const char* end) {
    return page.Value(absl::StrCat("attn_calls_ended_total{end=\"", end, "\"}"));
  };
  EXPECT_EQ(started, ended("finished") + ended("refused") + ended("cancelled"));
  EXPECT_EQ(started, page.Sum("attn_calls_total"));
  EXPECT_EQ(ended("refused"), page.Sum("attn_calls_refused_total"));
  EXPECT_EQ(ended("cancelled"), page.Sum("attn_calls_cancelled_total"));
  EXPECT_EQ(ended("finished"), page.Sum("attn_calls_total", "code=\"OK\""));
  EXPECT_EQ(page.Value("attn_calls_refused_total{reason=\"invalid\"}"), 1);
  EXPECT_GE(page.Value("attn_calls_refused_total{reason=\"queue_full\"}"), 1);
  EXPECT_GE(page.Value("attn_calls_cancelled_total{stage=\"running\"}"), 1);
  EXPECT_EQ(page.Sum("attn_queue_admitted_bytes"), 0);
}

TEST(ObservabilityTest, UnknownPriorityIsRefused) {
  const ServerProcess server;
  v1::AttendRequest request = PlainRequest();
  request.mutable_metadata()->set_priority(static_cast<v1::CallMetadata::Priority>(7));
  const grpc::Status status = Attend(*ConnectPlain(server.tcp()), request).status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(),
            "metadata.priority: 7 is unknown, known: INTERACTIVE (1), BATCH (2)");
}

}  // namespace
}  // namespace attn
