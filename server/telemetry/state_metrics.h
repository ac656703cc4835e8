// The server's state beside its calls as Prometheus metrics: overrides, scopes, back ends,
// readiness, reloads, dropped log lines.
#ifndef ATTN_SERVER_TELEMETRY_STATE_METRICS_H_
#define ATTN_SERVER_TELEMETRY_STATE_METRICS_H_

#include <memory>

#include "server/telemetry/server_state.h"

namespace prometheus {
class Collectable;
}  // namespace prometheus

namespace attn {

// Asks `source`, which must not throw, at every scrape. Every backend of the state has its series
// all the time, 0 or 1, so that an alert can tell "not quarantined" from "unknown".
std::shared_ptr<prometheus::Collectable> StateMetrics(ServerStateSource source);

}  // namespace attn

#endif  // ATTN_SERVER_TELEMETRY_STATE_METRICS_H_
