#include "server/app/machine_memory.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/app/control_groups.h"
#include "server/app/first_line.h"

namespace attn {
namespace {

void Lower(std::optional<MemoryLimit>* least, int64_t bytes, const std::string& source) {
  if (!*least || bytes < (*least)->bytes) *least = MemoryLimit{bytes, source};
}

// `MemTotal:       24658120 kB` is the first line.
void AskMachine(const std::string& root, std::optional<MemoryLimit>* least) {
  const std::string file = "/proc/meminfo";
  const std::vector<std::string> words =
      absl::StrSplit(FirstLine(root + file), ' ', absl::SkipEmpty());
  int64_t kib = 0;
  if (words.size() == 3 && words[0] == "MemTotal:" && absl::SimpleAtoi(words[1], &kib)) {
    Lower(least, kib * 1024, file);
  }
}

}  // namespace

std::optional<MemoryLimit> MachineMemory(const std::string& root) {
  std::optional<MemoryLimit> least;
  AskMachine(root, &least);
  for (const ControlGroup& group : ControlGroupsOf("memory", root)) {
    const std::string source =
        group.folder + (group.version == 2 ? "/memory.max" : "/memory.limit_in_bytes");
    int64_t bytes = 0;  // `max` is none.
    if (absl::SimpleAtoi(FirstLine(root + source), &bytes) && bytes > 0) {
      Lower(&least, bytes, source);
    }
  }
  return least;
}

std::string MemoryWarning(const ServerOptions& options, const std::optional<MemoryLimit>& machine) {
  if (!machine) return "";
  // gRPC goes over its budget by a quarter, and replies that nobody reads hold as much again as
  // admitted calls (server/services/channel_limits.h). Every term is at most 2^50 or so.
  const int64_t receive_bytes = options.receive_bytes();
  const int64_t most_bytes =
      receive_bytes + receive_bytes / 4 + 2 * options.max_admitted_bytes + options.pool_idle_bytes;
  if (most_bytes <= machine->bytes) return "";
  return absl::StrCat(
      "memory: 1.25 x what is received + 2 x max_admitted_bytes + pool_idle_bytes = ", most_bytes,
      " bytes, more than the ", machine->bytes, " of ", machine->source,
      ": full load may end in the out-of-memory killer instead of refusals; lower "
      "max_admitted_bytes, pool_idle_bytes",
      options.max_receive_bytes == 0 ? " or max_message_bytes" : " or max_receive_bytes");
}

}  // namespace attn
