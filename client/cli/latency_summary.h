// Percentiles of latencies.
#ifndef ATTN_CLIENT_CLI_LATENCY_SUMMARY_H_
#define ATTN_CLIENT_CLI_LATENCY_SUMMARY_H_

#include <cstdint>
#include <vector>

#include "client/cli/report.h"

namespace attn::cli {

struct LatencySummary {
  struct Percentile {
    const char* name;  // p50 ... p99.9
    double ns;
  };
  double mean_ns = 0;
  std::vector<Percentile> percentiles;
  double max_ns = 0;
};

// Nearest rank: the smallest latency that at least that share of the calls did not exceed. All
// zero without latencies.
LatencySummary Summarise(std::vector<int64_t> latencies_ns);

// {"mean": ..., "p50": ..., "max": ...} in milliseconds.
Json MillisecondsJson(const LatencySummary& summary);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_LATENCY_SUMMARY_H_
