// What a server shows at /metrics.
#ifndef ATTN_TESTS_E2E_METRICS_PAGE_H_
#define ATTN_TESTS_E2E_METRICS_PAGE_H_

#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace attn {

class MetricsPage {
 public:
  // GET /metrics of `address`, `127.0.0.1:PORT`; a test failure and an empty page if it does not
  // answer.
  static MetricsPage Read(const std::string& address);

  const std::string& text() const { return text_; }

  // Every line, as `name{label="value",...}`; histograms as their _bucket, _sum and _count.
  const std::map<std::string, double>& series() const { return series_; }

  // Of one series; 0 if it is not there, as counters are before they count.
  double Value(const std::string& series) const;
  // Of all series of the metric that have `label`, as `backend="flash"`; "" = any.
  double Sum(absl::string_view metric, absl::string_view label = "") const;

 private:
  std::string text_;
  std::map<std::string, double> series_;
};

}  // namespace attn

#endif  // ATTN_TESTS_E2E_METRICS_PAGE_H_
