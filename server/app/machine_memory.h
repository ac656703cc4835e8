// How much memory there is, held against what the options let a server use.
#ifndef ATTN_SERVER_APP_MACHINE_MEMORY_H_
#define ATTN_SERVER_APP_MACHINE_MEMORY_H_

#include <cstdint>
#include <optional>
#include <string>

#include "server/config/server_options.h"

namespace attn {

struct MemoryLimit {
  int64_t bytes = 0;
  std::string source;  // The file that says so.
};

// The least of what the machine has and what the cgroups of this process (version 2 or 1), with
// those above them, may have. Nothing if no file says. `root` stands before /proc and /sys.
std::optional<MemoryLimit> MachineMemory(const std::string& root = "");

// Empty if load ends in refusals; else a line that says why it could end in the kernel's
// out-of-memory killer, with both numbers and the keys to lower.
std::string MemoryWarning(const ServerOptions& options, const std::optional<MemoryLimit>& machine);

}  // namespace attn

#endif  // ATTN_SERVER_APP_MACHINE_MEMORY_H_
