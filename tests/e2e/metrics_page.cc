#include "tests/e2e/metrics_page.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/e2e/process.h"

namespace attn {

MetricsPage MetricsPage::Read(const std::string& address) {
  const std::pair<std::string, std::string> host_port = absl::StrSplit(address, ':');
  MetricsPage page;
  page.text_ =
      RunProgram("/bin/bash",
                 {"-c", absl::StrCat("exec 3<>/dev/tcp/", host_port.first, "/", host_port.second,
                                     "; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; "
                                     "sed '1,/^\\r$/d' <&3")})
          .out;
  EXPECT_FALSE(page.text_.empty()) << "no /metrics at " << address;
  for (const absl::string_view line : absl::StrSplit(page.text_, '\n')) {
    const size_t space = line.rfind(' ');
    double value = 0;
    if (absl::StartsWith(line, "#") || space == absl::string_view::npos) continue;
    EXPECT_TRUE(absl::SimpleAtod(line.substr(space + 1), &value)) << line;
    page.series_.emplace(line.substr(0, space), value);
  }
  return page;
}

double MetricsPage::Value(const std::string& series) const {
  const auto found = series_.find(series);
  return found == series_.end() ? 0 : found->second;
}

double MetricsPage::Sum(absl::string_view metric, absl::string_view label) const {
  double sum = 0;
  for (const auto& [series, value] : series_) {
    const absl::string_view name = absl::string_view(series).substr(0, series.find('{'));
    if (name == metric && absl::StrContains(series, label)) sum += value;
  }
  return sum;
}

}  // namespace attn
