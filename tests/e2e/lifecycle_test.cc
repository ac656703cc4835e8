// Start, refusal to start, draining and exit of a real server.
#include <signal.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/metrics_page.h"
#include "tests/e2e/plain_call.h"
#include "tests/e2e/server_process.h"
#include "tests/support/health_watch.h"

namespace attn {
namespace {

using ::testing::HasSubstr;

// A call of about a second on two cores.
struct LongCall {
  std::vector<float> values = std::vector<float>(8 * 4096 * 64, 0.25F);
  AttendArguments arguments;

  LongCall() {
    for (const char* name : {"q", "k", "v"}) {
      ClientTensor tensor;
      tensor.name = name;
      tensor.shape = {1, 8, 4096, 64};
      tensor.data = std::as_bytes(std::span(values));
      arguments.tensors.push_back(std::move(tensor));
    }
    arguments.request.set_backend("flash");
  }
};

void WaitUntilRunning(const ServerProcess& server) {
  for (int i = 0; i < 2000; ++i) {
    if (MetricsPage::Read(server.metrics()).Sum("attn_queue_running_calls") == 1) return;
  }
  FAIL() << "the call never ran";
}

TEST(LifecycleTest, TermFinishesWhatWasAdmittedAndRefusesTheRest) {
  ServerProcess server;
  const auto client = server.Connect();
  absl::Status admitted = absl::UnknownError("no reply");
  std::thread caller([&] {
    const LongCall call;
    admitted = client->Attend(call.arguments, {}).status();
  });
  WaitUntilRunning(server);
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().ReadLine(), "attnd draining");
  ClientOptions options;
  options.server = server.tcp();
  options.max_retries = 0;
  const LongCall call;
  const absl::Status refused =
      (*AttentionClient::Create(options))->Attend(call.arguments, {}).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable) << refused;
  caller.join();
  EXPECT_TRUE(admitted.ok()) << admitted;
  EXPECT_EQ(server.process().Wait().exit_code, 0);
}

// `attn` in the middle of one call whose reply is more than sockets and windows hold; stopped, so
// that it reads nothing.
std::unique_ptr<Process> StoppedReader(const ServerProcess& server) {
  auto reader = std::make_unique<Process>(
      "attn", std::vector<std::string>{"--server", server.tcp(), "load", "--shape", "1x8x4096x64",
                                       "--dtype", "fp32", "--requests", "1", "--warmup", "0"});
  WaitUntilRunning(server);
  reader->Signal(SIGSTOP);
  for (int i = 0; i < 2000; ++i) {
    if (MetricsPage::Read(server.metrics()).Sum("attn_calls_ended_total") > 0) break;
  }
  return reader;
}

TEST(LifecycleTest, DrainWaitsForRepliesThatAreOnTheirWay) {
  ServerProcess server;
  const std::unique_ptr<Process> reader = StoppedReader(server);
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().ReadLine(), "attnd draining");
  EXPECT_EQ(server.process().ReadLine(absl::Seconds(3)), "") << "it does not stop meanwhile";
  reader->Signal(SIGCONT);
  const ProcessOutput answered = reader->Wait();
  EXPECT_EQ(answered.exit_code, 0) << answered.err;
  EXPECT_EQ(server.process().Wait().exit_code, 0);
}

TEST(LifecycleTest, ReplyThatNobodyReadsHoldsNoServer) {
  ServerProcess server({"--drain_limit_ms", "500"});
  const std::unique_ptr<Process> reader = StoppedReader(server);
  server.process().Signal(SIGTERM);
  const ProcessOutput stopped = server.process().Wait(absl::Seconds(8));
  EXPECT_EQ(stopped.exit_code, 1);
  EXPECT_THAT(stopped.err, HasSubstr("calls cut off after 500 ms: 1"));
}

TEST(LifecycleTest, LameDuckServesWhileNotReady) {
  ServerProcess server({"--lame_duck_ms", "2000"});
  const auto client = server.Connect();
  EXPECT_EQ(client->CheckHealth("readiness").value_or(""), "SERVING") << "once it has said so";
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().ReadLine(), "attnd lame duck for 2000 ms");
  for (const char* name : {"readiness", ""}) {
    EXPECT_EQ(client->CheckHealth(name).value_or(""), "NOT_SERVING") << name;
  }
  EXPECT_EQ(client->CheckHealth("liveness").value_or(""), "SERVING");
  server.process().Signal(SIGHUP);  // Without effect, and above all not the end.
  const auto stub = ConnectPlain(server.tcp());
  const PlainAnswer answer = Attend(*stub, PlainRequest());
  EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(server.process().ReadLine(), "attnd draining");
  EXPECT_EQ(server.process().Wait().exit_code, 0);
}

TEST(LifecycleTest, SecondTermEndsALameDuckAtOnce) {
  ServerProcess server({"--lame_duck_ms", "600000"});
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().ReadLine(), "attnd lame duck for 600000 ms");
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(absl::Seconds(20)).exit_code, 128 + SIGTERM);
}

// More than a test would wait for.
attention::v1::AttendRequest VeryLongCall() { return PlainRequest(8, 32768); }

TEST(LifecycleTest, SecondSignalEndsADrainAtOnce) {
  ServerProcess server({"--drain_limit_ms", "600000"});
  const auto stub = ConnectPlain(server.tcp());
  std::thread caller([&] { EXPECT_FALSE(Attend(*stub, VeryLongCall()).status.ok()); });
  WaitUntilRunning(server);
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().ReadLine(), "attnd draining");
  server.process().Signal(SIGINT);
  EXPECT_EQ(server.process().Wait(absl::Seconds(20)).exit_code, 128 + SIGINT);
  caller.join();
}

TEST(LifecycleTest, CallsCutOffByTheLimitAreCounted) {
  ServerProcess server({"--drain_limit_ms", "50"});
  const auto stub = ConnectPlain(server.tcp());
  grpc::StatusCode code = grpc::StatusCode::OK;
  std::thread caller([&] { code = Attend(*stub, VeryLongCall()).status.error_code(); });
  WaitUntilRunning(server);
  const ProcessOutput end = server.Stop();
  caller.join();
  EXPECT_EQ(end.exit_code, 1);
  EXPECT_THAT(end.err, HasSubstr("drain_limit_ms: calls cut off after 50 ms: 1"));
  EXPECT_NE(code, grpc::StatusCode::OK);
}

// Whoever started it may be gone, and read neither its output nor its log.
TEST(LifecycleTest, ClosedOutputsDoNotEndIt) {
  const ProcessOutput run =
      RunProgram("/bin/bash", {"-c", std::string(ATTN_BIN_DIR) +
                                         "/attnd --listen 127.0.0.1:0 --metrics_listen off "
                                         "> >(head -n 1 >/dev/null) 2> >(head -n 1 >/dev/null) & "
                                         "server=$!; sleep 1; kill -TERM $server; wait $server"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
}

TEST(LifecycleTest, OpenScopesDoNotKeepItFromStopping) {
  ServerProcess server;
  const auto client = server.Connect();
  attention::v1::HoldScopeRequest request;
  request.set_backend("eager");
  const auto scope = client->HoldScope(request, true);
  ASSERT_TRUE(scope.ok());
  EXPECT_EQ(server.Stop().exit_code, 0);
  EXPECT_EQ((*scope)->End().code(), absl::StatusCode::kUnavailable);
}

// Kubernetes and load balancers watch; a watch never ends by itself.
TEST(LifecycleTest, HealthWatchDoesNotKeepItFromStopping) {
  ServerProcess server;
  HealthWatch watch(server.tcp());
  EXPECT_EQ(watch.Next(), HealthWatch::kServing);
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(absl::Seconds(20)).exit_code, 0)
      << "well below the drain limit of 30 s";
}

TEST(LifecycleTest, CancelledAndLateCallsLeaveTheServerServing) {
  ServerProcess server;
  const auto client = server.Connect();
  const LongCall call;
  CallOptions options;
  for (int timeout_ms = 1; timeout_ms <= 16; timeout_ms *= 2) {
    options.timeout = absl::Milliseconds(timeout_ms);
    EXPECT_EQ(client->Attend(call.arguments, options).status().code(),
              absl::StatusCode::kDeadlineExceeded);
  }
  EXPECT_TRUE(client->Attend(call.arguments, {}).ok());
  EXPECT_EQ(server.Stop().exit_code, 0);
}

TEST(LifecycleTest, TwoServersNeverShareAnAddress) {
  ServerProcess server;
  const ProcessOutput tcp =
      RunProgram("attnd", {"--listen", server.tcp(), "--metrics_listen", "off"});
  EXPECT_EQ(tcp.exit_code, 1);
  EXPECT_THAT(tcp.err, HasSubstr("another process listens on"));
  const ProcessOutput socket =
      RunProgram("attnd", {"--listen", server.unix_socket(), "--metrics_listen", "off"});
  EXPECT_EQ(socket.exit_code, 1);
  EXPECT_THAT(socket.err, HasSubstr("another server holds this socket"));
  const ProcessOutput metrics =
      RunProgram("attnd", {"--listen", "127.0.0.1:0", "--metrics_listen", server.metrics()});
  EXPECT_EQ(metrics.exit_code, 1);
  EXPECT_THAT(metrics.err, HasSubstr(server.metrics()));
  EXPECT_EQ(server.Attn({"health"}).exit_code, 0) << "the first server was disturbed";
}

TEST(LifecycleTest, SocketOfAKilledServerIsTakenOver) {
  const std::string folder = ::testing::TempDir() + "attnd-takeover";
  std::filesystem::create_directories(folder);
  const std::string address = "unix:" + folder + "/a.sock";
  const std::vector<std::string> arguments = {"--listen", address, "--metrics_listen", "off"};
  Process first("attnd", arguments);
  ASSERT_THAT(first.ReadLine(), HasSubstr("ready"));
  first.Signal(SIGKILL);
  first.Wait();
  Process second("attnd", arguments);
  EXPECT_THAT(second.ReadLine(), HasSubstr("ready"));
  EXPECT_EQ(RunProgram("attn", {"--server", address, "health"}).exit_code, 0);
}

struct BadStart {
  std::string name;
  std::vector<std::string> arguments;
  int exit_code;
  std::string text;
};

void PrintTo(const BadStart& bad, std::ostream* out) { *out << bad.name; }

class BadStartTest : public ::testing::TestWithParam<BadStart> {};

TEST_P(BadStartTest, SaysWhatAndExits) {
  const ProcessOutput run = RunProgram("attnd", GetParam().arguments);
  EXPECT_EQ(run.exit_code, GetParam().exit_code) << run.out;
  EXPECT_THAT(run.err, HasSubstr(GetParam().text));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadStartTest,
    ::testing::Values(
        BadStart{"unknown_flag", {"--lisen", "localhost:0"}, 2, "--lisen"},
        BadStart{"no_address", {"--listen", "nonsense"}, 2, "nonsense"},
        BadStart{"port_too_large", {"--listen", "localhost:70000"}, 2, "70000"},
        BadStart{"host_elsewhere", {"--listen", "192.0.2.1:0"}, 1, "192.0.2.1"},
        BadStart{"socket_folder_missing",
                 {"--listen", "unix:/no/such/folder/a.sock"},
                 1,
                 "/no/such/folder"},
        BadStart{"config_missing", {"--config", "/no/such/file.yaml"}, 2, "/no/such/file.yaml"},
        BadStart{"presets_missing", {"--presets", "/no/such/file.yaml"}, 2, "/no/such/file.yaml"},
        BadStart{"forced_unknown", {"--force_backend", "flsh"}, 2, "did you mean 'flash'"},
        BadStart{"workers_negative", {"--workers", "-1"}, 2, "workers"}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace attn
