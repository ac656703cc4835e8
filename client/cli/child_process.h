// A command run as a child, its signals forwarded: what `attn scope -- COMMAND` needs.
#ifndef ATTN_CLIENT_CLI_CHILD_PROCESS_H_
#define ATTN_CLIENT_CLI_CHILD_PROCESS_H_

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace attn::cli {

// Blocks the signals that RunChild forwards or waits for. Threads inherit it: call it before the
// first one starts. A blocked signal stays pending until RunChild takes it.
void BlockForwardedSignals();

// Runs `command` (looked up in PATH) with `variables` in its environment beside our own, and
// forwards SIGINT, SIGTERM and SIGHUP that were sent to us alone; those of a terminal reach the
// child by themselves. `tick` is called a few times a second meanwhile. Returns the child's exit
// code, or 128 + the signal that ended it. NOT_FOUND if there is no such program,
// INTERNAL if somebody else has taken the child's end. Requires BlockForwardedSignals.
absl::StatusOr<int> RunChild(const std::vector<std::string>& command,
                             const std::map<std::string, std::string>& variables,
                             const std::function<void()>& tick);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_CHILD_PROCESS_H_
