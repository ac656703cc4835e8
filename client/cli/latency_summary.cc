#include "client/cli/latency_summary.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace attn::cli {
namespace {

constexpr struct {
  const char* name;
  double share;
} kPercentiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p99.9", 0.999}};

}  // namespace

LatencySummary Summarise(std::vector<int64_t> latencies_ns) {
  std::sort(latencies_ns.begin(), latencies_ns.end());
  const double count = static_cast<double>(latencies_ns.size());
  LatencySummary summary;
  for (const auto& [name, share] : kPercentiles) {
    const size_t rank = static_cast<size_t>(std::max(1.0, std::ceil(share * count)));
    summary.percentiles.push_back(
        {name, latencies_ns.empty() ? 0.0 : static_cast<double>(latencies_ns[rank - 1])});
  }
  if (latencies_ns.empty()) return summary;
  summary.mean_ns = std::accumulate(latencies_ns.begin(), latencies_ns.end(), 0.0) / count;
  summary.max_ns = static_cast<double>(latencies_ns.back());
  return summary;
}

Json MillisecondsJson(const LatencySummary& summary) {
  Json json = {{"mean", summary.mean_ns / 1e6}};
  for (const auto& percentile : summary.percentiles) json[percentile.name] = percentile.ns / 1e6;
  json["max"] = summary.max_ns / 1e6;
  return json;
}

}  // namespace attn::cli
