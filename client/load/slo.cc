#include "client/load/slo.h"

#include "absl/strings/str_format.h"

namespace attn::load {

std::vector<std::string> Violations(const Slo& slo, const Measurements& measurements) {
  std::vector<std::string> violations;
  if (slo.empty()) return violations;
  if (measurements.calls() == 0) return {"no call was made"};
  if (slo.max_p99_ms.has_value() && measurements.completed == 0) {
    violations.push_back("p99: no call succeeded");
  } else if (slo.max_p99_ms.has_value()) {
    const double p99_ms = static_cast<double>(measurements.latency.ValueAtPercentile(99)) / 1e6;
    if (p99_ms > *slo.max_p99_ms) {
      violations.push_back(absl::StrFormat("p99 %.3f ms, allowed: %g ms", p99_ms, *slo.max_p99_ms));
    }
  }
  const double error_rate =
      static_cast<double>(measurements.failed) / static_cast<double>(measurements.calls());
  if (slo.max_error_rate.has_value() && error_rate > *slo.max_error_rate) {
    violations.push_back(
        absl::StrFormat("error rate %.4f, allowed: %g", error_rate, *slo.max_error_rate));
  }
  return violations;
}

}  // namespace attn::load
