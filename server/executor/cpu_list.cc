#include "server/executor/cpu_list.h"

#include <algorithm>
#include <bitset>
#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "kernels/core/nearest_name.h"

namespace attn {
namespace {

bool ParseCpu(absl::string_view text, int* cpu) {
  return !text.empty() && text.find_first_not_of("0123456789") == absl::string_view::npos &&
         absl::SimpleAtoi(text, cpu) && *cpu < kMaxCpus;
}

}  // namespace

absl::StatusOr<std::vector<int>> ParseCpuList(absl::string_view text) {
  std::vector<int> cpus;
  std::bitset<kMaxCpus> listed;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> ends =
        absl::StrSplit(part, absl::MaxSplits('-', 1));
    const bool range = part.find('-') != absl::string_view::npos;
    int first = 0;
    int last = 0;
    if (!ParseCpu(ends.first, &first) || !ParseCpu(range ? ends.second : ends.first, &last) ||
        last < first) {
      return absl::InvalidArgumentError(
          absl::StrCat(Quoted(part), " is no CPU and no range of them, expected a list such as ",
                       "0-7,16-23 of numbers below ", kMaxCpus));
    }
    for (int cpu = first; cpu <= last; ++cpu) {
      if (listed.test(static_cast<size_t>(cpu))) {
        return absl::InvalidArgumentError(absl::StrCat("CPU ", cpu, " is listed twice"));
      }
      listed.set(static_cast<size_t>(cpu));
      cpus.push_back(cpu);
    }
  }
  return cpus;
}

std::string CpuListText(std::span<const int> cpus) {
  std::string text;
  for (size_t i = 0; i < cpus.size();) {
    size_t end = i + 1;
    while (end < cpus.size() && cpus[end] == cpus[end - 1] + 1) ++end;
    absl::StrAppend(&text, text.empty() ? "" : ",", cpus[i]);
    if (end - i > 1) absl::StrAppend(&text, "-", cpus[end - 1]);
    i = end;
  }
  return text;
}

}  // namespace attn
