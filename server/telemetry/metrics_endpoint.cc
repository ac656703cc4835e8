#include "server/telemetry/metrics_endpoint.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "kernels/core/status_macros.h"
#include "prometheus/collectable.h"
#include "prometheus/exposer.h"

namespace attn {
namespace {

// A connection holds a thread until its answer is out: that many may hang and a scrape still gets
// through at once, ...
constexpr int kThreads = 8;
// ... and more wait this long at most for those that ask nothing.
constexpr int kRequestTimeoutMs = 2000;

bool IsPort(absl::string_view text) {
  int port = 0;
  for (const char c : text) {
    if (!absl::ascii_isdigit(c)) return false;
  }
  return absl::SimpleAtoi(text, &port) && port <= 65535;
}

struct ListenAddress {
  std::string text;  // In the form that civetweb takes.
  in_addr ipv4{};    // 0.0.0.0 if it is an IPv6 one.
  in6_addr ipv6{};
  bool is_ipv6 = false;
  uint16_t port = 0;
};

// Strict, since civetweb also takes lists of ports and suffixes that mean TLS and redirection.
absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon != absl::string_view::npos && IsPort(address.substr(colon + 1))) {
    const absl::string_view port = address.substr(colon + 1);
    std::string host(address.substr(0, colon));
    if (host == "localhost") host = "127.0.0.1";
    ListenAddress parsed{absl::StrCat(host, ":", port)};
    int number = 0;
    (void)absl::SimpleAtoi(port, &number);  // IsPort says that it is one.
    parsed.port = static_cast<uint16_t>(number);
    if (inet_pton(AF_INET, host.c_str(), &parsed.ipv4) == 1) return parsed;
    absl::string_view inner = host;
    parsed.is_ipv6 = absl::ConsumePrefix(&inner, "[") && absl::ConsumeSuffix(&inner, "]") &&
                     inet_pton(AF_INET6, std::string(inner).c_str(), &parsed.ipv6) == 1;
    if (parsed.is_ipv6) return parsed;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("metrics address `", address,
                   "`: expected host:port with an IPv4 address, an IPv6 address in brackets or "
                   "localhost, and a port from 0 (any) to 65535"));
}

absl::Status CannotListen(absl::string_view address, absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("cannot serve metrics on ", address, ": ", why,
                   "; choose another with --metrics_listen, port 0 = any free one, off = none"));
}

std::string Reason(int error) {
  switch (error) {
    case EADDRINUSE:
      return "the port is taken by another program";
    case EACCES:
      return "this process may not listen on that port, as on most below 1024";
    case EADDRNOTAVAIL:
      return "the address is not of this machine";
    default:
      return std::strerror(error);
  }
}

// Binds for a moment: civetweb tells no reason.
absl::Status TryListening(absl::string_view address, const ListenAddress& listen) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(listen.port);
  v4.sin_addr = listen.ipv4;
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(listen.port);
  v6.sin6_addr = listen.ipv6;
  const int fd = socket(listen.is_ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return CannotListen(address, Reason(errno));
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const int bound = listen.is_ipv6 ? bind(fd, reinterpret_cast<sockaddr*>(&v6), sizeof(v6))
                                   : bind(fd, reinterpret_cast<sockaddr*>(&v4), sizeof(v4));
  const int error = bound == 0 && ::listen(fd, 1) == 0 ? 0 : errno;
  close(fd);
  return error == 0 ? absl::OkStatus() : CannotListen(address, Reason(error));
}

// Opens and closes connections until told to stop. civetweb looks at its stop flag every 2 s or
// when a connection comes, and every stopping server would wait for that.
void Knock(in_addr host, int port, const absl::Notification& stop) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr = host;
  do {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    // Whether it gets through does not matter: the next one may.
    (void)connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    close(fd);
  } while (!stop.WaitForNotificationWithTimeout(absl::Milliseconds(5)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Create(absl::string_view address,
                                                                         Metrics metrics) {
  ATTN_ASSIGN_OR_RETURN(const ListenAddress listen, ParseListenAddress(address));
  ATTN_RETURN_IF_ERROR(TryListening(address, listen));
  // The library's exceptions end here.
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(std::vector<std::string>{
        "listening_ports", listen.text, "num_threads", absl::StrCat(kThreads), "request_timeout_ms",
        absl::StrCat(kRequestTimeoutMs), "enable_keep_alive", "no"});
    for (const auto& one : metrics) exposer->RegisterCollectable(one);
    const int port = exposer->GetListeningPorts().at(0);
    return std::unique_ptr<MetricsEndpoint>(
        new MetricsEndpoint(std::move(metrics), std::move(exposer), listen.ipv4, port));
  } catch (const std::exception&) {  // What it says is of its own insides.
    return CannotListen(address, listen.is_ipv6
                                     ? "civetweb was built without IPv6 (as Debian's is)"
                                     : "the HTTP server could not start; threads or open files may "
                                       "be at their limit");
  }
}

MetricsEndpoint::MetricsEndpoint(Metrics metrics, std::unique_ptr<prometheus::Exposer> exposer,
                                 in_addr host, int port)
    : metrics_(std::move(metrics)), exposer_(std::move(exposer)), host_(host), port_(port) {}

MetricsEndpoint::~MetricsEndpoint() {
  absl::Notification stopped;
  std::thread knocking([&] { Knock(host_, port_, stopped); });
  exposer_.reset();
  stopped.Notify();
  knocking.join();
}

}  // namespace attn
