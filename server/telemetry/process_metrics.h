// What this process uses of its machine, under Prometheus' standard names.
#ifndef ATTN_SERVER_TELEMETRY_PROCESS_METRICS_H_
#define ATTN_SERVER_TELEMETRY_PROCESS_METRICS_H_

#include <memory>

namespace prometheus {
class Collectable;
}  // namespace prometheus

namespace attn {

// Reads /proc/self at every scrape. What cannot be read is left out rather than shown as 0. Memory
// is resident memory as the kernel counts it for `ps`, without walking the page tables.
std::shared_ptr<prometheus::Collectable> ProcessMetrics();

}  // namespace attn

#endif  // ATTN_SERVER_TELEMETRY_PROCESS_METRICS_H_
