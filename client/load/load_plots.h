// The plots of a run's page.
#ifndef ATTN_CLIENT_LOAD_LOAD_PLOTS_H_
#define ATTN_CLIENT_LOAD_LOAD_PLOTS_H_

#include <string>

#include "client/load/load_report.h"

namespace attn::load {

// Latency by percentile, the tail stretched: corrected, and in an open loop uncorrected beside it.
std::string LatencyPlot(const RunReport& run, bool open_loop);

// Calls sent, answered and failed a second, over the time of the run.
std::string ThroughputPlot(const RunReport& run);

// The slowest call of every interval.
std::string SlowestCallPlot(const RunReport& run);

// Where the mean call spends its time.
std::string StagePlot(const Measurements& measured);

// How the calls of a backend are spread over sparsity.
std::string SparsityPlot(const std::string& backend, const BackendCounts& counts);

// Throughput of every run, in their order.
std::string StepsPlot(const std::vector<RunReport>& runs);

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_LOAD_PLOTS_H_
