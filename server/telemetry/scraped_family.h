// Families of metrics that are made anew at every scrape. Of server/telemetry only.
#ifndef ATTN_SERVER_TELEMETRY_SCRAPED_FAMILY_H_
#define ATTN_SERVER_TELEMETRY_SCRAPED_FAMILY_H_

#include <string>
#include <vector>

#include "prometheus/client_metric.h"
#include "prometheus/metric_family.h"

namespace attn {

struct ScrapedValue {
  double value = 0;
  std::vector<prometheus::ClientMetric::Label> labels;
};

// `type` is Counter or Gauge.
inline prometheus::MetricFamily ScrapedFamily(prometheus::MetricType type, std::string name,
                                              std::string help,
                                              const std::vector<ScrapedValue>& values) {
  prometheus::MetricFamily family{std::move(name), std::move(help), type, {}};
  for (const ScrapedValue& scraped : values) {
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    metric.label = scraped.labels;
    (type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) =
        scraped.value;
  }
  return family;
}

}  // namespace attn

#endif  // ATTN_SERVER_TELEMETRY_SCRAPED_FAMILY_H_
