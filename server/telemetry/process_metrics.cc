#include "server/telemetry/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "prometheus/collectable.h"
#include "server/telemetry/scraped_family.h"

namespace attn {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

std::string ReadText(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Fields of /proc/self/stat, of proc(5) by their numbers there.
class ProcessStat {
 public:
  ProcessStat() {
    const std::string text = ReadText("/proc/self/stat");
    // The second field is the program's name in parentheses and may hold anything.
    const size_t name_end = text.rfind(") ");
    if (name_end != std::string::npos) fields_ = absl::StrSplit(text.substr(name_end + 2), ' ');
  }

  std::optional<double> operator[](size_t number) const {
    double value = 0;
    if (number - kFirst >= fields_.size()) return std::nullopt;
    if (!absl::SimpleAtod(fields_[number - kFirst], &value)) return std::nullopt;
    return value;
  }

 private:
  static constexpr size_t kFirst = 3;  // What stands behind the name.
  std::vector<std::string> fields_;
};

// When the machine started, in seconds since the epoch.
std::optional<double> BootSeconds() {
  for (const absl::string_view line : absl::StrSplit(ReadText("/proc/stat"), '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    double seconds = 0;
    if (words.size() == 2 && words[0] == "btime" && absl::SimpleAtod(words[1], &seconds)) {
      return seconds;
    }
  }
  return std::nullopt;
}

std::optional<double> OpenFds() {
  std::error_code error;
  std::filesystem::directory_iterator entries("/proc/self/fd", error);
  int64_t count = 0;
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    ++count;
  }
  if (error) return std::nullopt;
  return static_cast<double>(count - 1);  // One is the folder's own.
}

std::optional<double> MaxFds() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::nullopt;
  return static_cast<double>(limit.rlim_cur);
}

std::optional<double> Scaled(std::optional<double> value, double factor) {
  if (!value) return std::nullopt;
  return *value * factor;
}

std::optional<double> Sum(std::optional<double> a, std::optional<double> b) {
  if (!a || !b) return std::nullopt;
  return *a + *b;
}

class Process final : public prometheus::Collectable {
 public:
  std::vector<MetricFamily> Collect() const override {
    const ProcessStat stat;
    const double tick_seconds = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
    const double page_bytes = static_cast<double>(sysconf(_SC_PAGESIZE));
    std::vector<MetricFamily> families;
    const auto add = [&families](MetricType type, const char* name, const char* help,
                                 std::optional<double> value) {
      if (value) families.push_back(ScrapedFamily(type, name, help, {{*value, {}}}));
    };
    add(MetricType::Counter, "process_cpu_seconds_total",
        "User and system time that this process has spent.",
        Scaled(Sum(stat[14], stat[15]), tick_seconds));
    add(MetricType::Gauge, "process_resident_memory_bytes", "Memory of this process in RAM.",
        Scaled(stat[24], page_bytes));
    add(MetricType::Gauge, "process_threads", "Threads of this process.", stat[20]);
    add(MetricType::Gauge, "process_start_time_seconds",
        "When this process started, since the Unix epoch.",
        Sum(BootSeconds(), Scaled(stat[22], tick_seconds)));
    add(MetricType::Gauge, "process_open_fds", "Open file descriptors.", OpenFds());
    add(MetricType::Gauge, "process_max_fds", "Most file descriptors that may be open.", MaxFds());
    return families;
  }
};

}  // namespace

std::shared_ptr<prometheus::Collectable> ProcessMetrics() { return std::make_shared<Process>(); }

}  // namespace attn
