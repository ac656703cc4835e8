// CPUs by number, written as Linux writes them: `0-7,16-23`.
#ifndef ATTN_SERVER_EXECUTOR_CPU_LIST_H_
#define ATTN_SERVER_EXECUTOR_CPU_LIST_H_

#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace attn {

// Numbers are below this: the most that Linux is built for on any processor.
inline constexpr int kMaxCpus = 8192;

// In the order of the text. INVALID_ARGUMENT says which part is wrong and what is allowed; a CPU
// that stands there twice is wrong, and so is a text without any.
absl::StatusOr<std::vector<int>> ParseCpuList(absl::string_view text);

// The shortest text of the same CPUs in the same order.
std::string CpuListText(std::span<const int> cpus);

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_CPU_LIST_H_
