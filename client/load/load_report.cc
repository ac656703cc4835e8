#include "client/load/load_report.h"

namespace attn::load {

double RunReport::PerSecond(double amount) const {
  const double seconds = absl::ToDoubleSeconds(duration);
  return seconds > 0 ? amount / seconds : 0;
}

std::string RunReport::Title() const { return result.aborted ? label + " (ended early)" : label; }

}  // namespace attn::load
