// Serves metrics over HTTP for Prometheus to scrape, on a port of its own.
#ifndef ATTN_SERVER_TELEMETRY_METRICS_ENDPOINT_H_
#define ATTN_SERVER_TELEMETRY_METRICS_ENDPOINT_H_

#include <netinet/in.h>

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace prometheus {
class Collectable;
class Exposer;
}  // namespace prometheus

namespace attn {

// Listens from Create to its destruction; its threads are its own.
class MetricsEndpoint {
 public:
  using Metrics = std::vector<std::shared_ptr<prometheus::Collectable>>;

  // Serves all of `metrics` at http://address/metrics. `address` is host:port with an IPv4 address,
  // an IPv6 address in brackets (where the system's civetweb was built with IPv6; Debian 12's was
  // not) or `localhost` (127.0.0.1); port 0 = any free one. INVALID_ARGUMENT for another form,
  // FAILED_PRECONDITION if it cannot be listened on.
  static absl::StatusOr<std::unique_ptr<MetricsEndpoint>> Create(absl::string_view address,
                                                                 Metrics metrics);
  ~MetricsEndpoint();

  // The port that it listens on.
  int port() const { return port_; }

 private:
  MetricsEndpoint(Metrics metrics, std::unique_ptr<prometheus::Exposer> exposer, in_addr host,
                  int port);

  const Metrics metrics_;  // The exposer's pointers are weak.
  std::unique_ptr<prometheus::Exposer> exposer_;
  const in_addr host_;  // 0.0.0.0 for an IPv6 one.
  const int port_;
};

}  // namespace attn

#endif  // ATTN_SERVER_TELEMETRY_METRICS_ENDPOINT_H_
