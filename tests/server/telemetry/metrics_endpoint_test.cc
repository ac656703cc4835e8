#include "server/telemetry/metrics_endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/collectable.h"
#include "server/telemetry/process_metrics.h"
#include "server/telemetry/prometheus_observer.h"
#include "server/telemetry/state_metrics.h"

namespace attn {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

// All that a server shows.
MetricsEndpoint::Metrics SomeMetrics() {
  PrometheusObserver observer({"1.2.3", "g++ 12.2.0", "none"});
  observer.OnCallStarted();
  observer.OnCallEnded({.transport = "tcp",
                        .backend = "flash",
                        .device = "cpu",
                        .rule = "call",
                        .times = {.queue_ns = 1, .kernel_ns = 1000, .total_ns = 2000},
                        .batch_calls = 1,
                        .sparsity = 0.25});
  observer.OnQueueChanged({{1, 2}, {3, 4}, {5, 6}});
  const auto state = [] {
    return ServerState{.backends = {{"flash", "cpu", true}}, .forced_backend = "flash"};
  };
  return {observer.metrics(), StateMetrics(state), ProcessMetrics()};
}

// A connection over loopback; -1 if nobody listens.
int Connect(bool ipv6, int port) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(static_cast<uint16_t>(port));
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(static_cast<uint16_t>(port));
  v6.sin6_addr = in6addr_loopback;
  const int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
  const int connected = ipv6 ? connect(fd, reinterpret_cast<sockaddr*>(&v6), sizeof(v6))
                             : connect(fd, reinterpret_cast<sockaddr*>(&v4), sizeof(v4));
  if (connected == 0) return fd;
  close(fd);
  return -1;
}

// The whole answer to a GET, headers included; empty if nobody listens.
std::string Get(bool ipv6, int port, const std::string& path) {
  const int fd = Connect(ipv6, port);
  std::string answer;
  if (fd >= 0) {
    const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
    EXPECT_EQ(write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
    char buffer[4096];
    for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) {
      answer.append(buffer, static_cast<size_t>(n));
    }
    close(fd);
  }
  return answer;
}

TEST(MetricsEndpointTest, ServesMetricsAtTheirPathAndNothingElse) {
  for (const char* address : {"127.0.0.1:0", "localhost:0", "0.0.0.0:0"}) {
    const auto endpoint = MetricsEndpoint::Create(address, SomeMetrics());
    ASSERT_TRUE(endpoint.ok()) << endpoint.status();
    const int port = (*endpoint)->port();
    EXPECT_GT(port, 0);
    EXPECT_THAT(Get(false, port, "/metrics"),
                AllOf(ContainsRegex("^HTTP/1.. 200"), HasSubstr("text/plain"),
                      HasSubstr("\nattn_calls_total{backend=\"flash\",code=\"OK\","
                                "device=\"cpu\"} 1\n"),
                      HasSubstr("\nattn_ready 0\n"), HasSubstr("\nprocess_threads ")));
    EXPECT_THAT(Get(false, port, "/"), ContainsRegex("^HTTP/1.. 404"));
    EXPECT_THAT(Get(false, port, "/etc/passwd"), ContainsRegex("^HTTP/1.. 404"));
  }
}

// With fewer threads than idle connections the scrape would wait until one is given up.
TEST(MetricsEndpointTest, IdleConnectionsDoNotHoldUpAScrape) {
  const auto endpoint = MetricsEndpoint::Create("127.0.0.1:0", SomeMetrics());
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  std::vector<int> idle;
  for (int i = 0; i < 6; ++i) idle.push_back(Connect(false, (*endpoint)->port()));
  EXPECT_THAT(idle, testing::Each(testing::Ge(0)));
  EXPECT_THAT(Get(false, (*endpoint)->port(), "/metrics"), HasSubstr("attn_build_info"));
  // None was given up to answer it: reading from each would block.
  for (const int fd : idle) {
    char byte = 0;
    EXPECT_EQ(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    close(fd);
  }
}

TEST(MetricsEndpointTest, ListensOnIpv6OrSaysThatTheLibraryMayNot) {
  const auto endpoint = MetricsEndpoint::Create("[::1]:0", SomeMetrics());
  if (endpoint.ok()) {
    EXPECT_THAT(Get(true, (*endpoint)->port(), "/metrics"), HasSubstr("attn_build_info"));
  } else {
    EXPECT_EQ(endpoint.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(endpoint.status().message(),
                AllOf(HasSubstr("[::1]:0"), HasSubstr("without IPv6")));
  }
}

TEST(MetricsEndpointTest, StopsListeningWhenDestroyed) {
  auto endpoint = MetricsEndpoint::Create("127.0.0.1:0", SomeMetrics());
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  const int port = (*endpoint)->port();
  endpoint->reset();
  EXPECT_EQ(Get(false, port, "/metrics"), "");
  // The port is free again.
  EXPECT_TRUE(MetricsEndpoint::Create("127.0.0.1:" + std::to_string(port), SomeMetrics()).ok());
}

TEST(MetricsEndpointTest, TakenPortIsAnErrorThatNamesAddressAndCure) {
  const auto first = MetricsEndpoint::Create("127.0.0.1:0", SomeMetrics());
  ASSERT_TRUE(first.ok()) << first.status();
  const std::string address = "127.0.0.1:" + std::to_string((*first)->port());
  const auto second = MetricsEndpoint::Create(address, SomeMetrics());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(second.status().message(),
              AllOf(HasSubstr(address), HasSubstr("taken"), HasSubstr("--metrics_listen"),
                    Not(HasSubstr("this machine")), Not(HasSubstr("Civet"))));
  EXPECT_THAT(Get(false, (*first)->port(), "/metrics"), HasSubstr("attn_build_info"));
}

TEST(MetricsEndpointTest, AddressOfAnotherMachineIsToldApart) {
  // Of TEST-NET-1, which no machine has.
  const auto endpoint = MetricsEndpoint::Create("192.0.2.1:0", SomeMetrics());
  EXPECT_EQ(endpoint.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(endpoint.status().message(),
              AllOf(HasSubstr("not of this machine"), Not(HasSubstr("taken"))));
}

TEST(MetricsEndpointTest, MalformedAddressesAreRefused) {
  for (const char* address :
       {"", "8602", ":8602", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
        "127.0.0.1:8602s", "127.0.0.1:8602,8603", "127.0.0.1: 1", "127.0.0.1:+1", "+8602",
        "::1:8602", "[::1]", "[localhost]:1", "[127.0.0.1]:1", "example.org:1", "unix:/x:1",
        "127.0.0.1:99999999999999999999"}) {
    const auto endpoint = MetricsEndpoint::Create(address, SomeMetrics());
    EXPECT_EQ(endpoint.status().code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(endpoint.status().message(), HasSubstr("metrics address `" + std::string(address)));
  }
}

TEST(MetricsEndpointTest, PromtoolFindsNothingToCriticise) {
  const std::string promtool = ATTN_PROMTOOL;
  if (access(promtool.c_str(), X_OK) != 0) {
    GTEST_SKIP() << "promtool (Debian package prometheus) was not found when this was configured";
  }
  const auto endpoint = MetricsEndpoint::Create("127.0.0.1:0", SomeMetrics());
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  Get(false, (*endpoint)->port(), "/metrics");  // The endpoint counts its own scrapes.
  const std::string answer = Get(false, (*endpoint)->port(), "/metrics");
  const size_t body = answer.find("\r\n\r\n");
  ASSERT_NE(body, std::string::npos);

  const std::string file = testing::TempDir() + "attn_metrics_" + std::to_string(getpid());
  std::ofstream(file) << answer.substr(body + 4);
  const std::string command = "'" + promtool + "' check metrics < '" + file + "' 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string output;
  char buffer[4096];
  while (fgets(buffer, sizeof(buffer), pipe) != nullptr) output += buffer;
  const int status = pclose(pipe);
  std::remove(file.c_str());
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << output;
  EXPECT_EQ(output, "");
}

}  // namespace
}  // namespace attn
