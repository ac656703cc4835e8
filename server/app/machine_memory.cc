#include "server/app/machine_memory.h"

#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace attn {
namespace {

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

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

// `group` below `mount`, and every group above it: the least limit holds. In a container that sees
// nothing but its own group, `group` is a path of the host, and what is found is that of `mount`.
void AskGroups(const std::string& root, const std::string& mount, const std::string& group,
               const std::string& file, std::optional<MemoryLimit>* least) {
  std::filesystem::path path = std::filesystem::path(group).relative_path();
  while (true) {
    const std::string source = (std::filesystem::path(mount) / path / file).string();
    int64_t bytes = 0;  // `max` is none.
    if (absl::SimpleAtoi(FirstLine(root + source), &bytes) && bytes > 0) {
      Lower(least, bytes, source);
    }
    if (path.empty()) return;
    path = path.parent_path();
  }
}

}  // namespace

std::optional<MemoryLimit> MachineMemory(const std::string& root) {
  std::optional<MemoryLimit> least;
  AskMachine(root, &least);
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    // `0::/a/b` of version 2, `7:memory:/a/b` of version 1.
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    if (parts[0] == "0" && parts[1].empty()) {
      AskGroups(root, "/sys/fs/cgroup", parts[2], "memory.max", &least);
    } else if (parts[1] == "memory") {
      AskGroups(root, "/sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes", &least);
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
