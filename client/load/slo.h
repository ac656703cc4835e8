// What a run must keep to, for CI.
#ifndef ATTN_CLIENT_LOAD_SLO_H_
#define ATTN_CLIENT_LOAD_SLO_H_

#include <optional>
#include <string>
#include <vector>

#include "client/load/measurements.h"

namespace attn::load {

struct Slo {
  std::optional<double> max_p99_ms;      // Corrected.
  std::optional<double> max_error_rate;  // Failed calls, wrong answers included, of all: 0 to 1.

  bool empty() const { return !max_p99_ms.has_value() && !max_error_rate.has_value(); }
};

// What is not kept, in words; empty = all is.
std::vector<std::string> Violations(const Slo& slo, const Measurements& measurements);

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_SLO_H_
