// Reading the configuration again while calls run.
#ifndef ATTN_SERVER_APP_RELOAD_H_
#define ATTN_SERVER_APP_RELOAD_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "kernels/core/registry.h"
#include "server/config/server_config.h"
#include "server/executor/executor.h"
#include "server/policy/policy_state.h"
#include "server/telemetry/server_log.h"

namespace attn {

// Applies what may change in a running server: the keys that config_keys.h marks, and the presets.
// Either all of it or, if anything is wrong, nothing. Log level and forced override can also be
// changed by operators, and their change stands until the configured value becomes another one.
//
// Reload and options belong to one thread; the counts may be read from any.
class Reloader {
 public:
  // All outlive the reloader.
  struct Parts {
    const Registry* registry = nullptr;
    PolicyState* policy = nullptr;
    Executor* executor = nullptr;
    ServerLog* log = nullptr;
  };

  // `config` is what the server was started with, loaded from `sources`.
  Reloader(ConfigSources sources, const ServerConfig& config, const Parts& parts);

  // Says in the log what has changed, what needs a restart, or every mistake.
  void Reload();

  // In force.
  const ServerOptions& options() const { return options_; }

  int64_t accepted() const { return accepted_.load(std::memory_order_relaxed); }
  int64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  absl::Status Apply();
  // Leaves in `next` what cannot change as it is in force, and says so.
  void KeepWhatCannotChange(ServerOptions* next) const;
  void ApplyForced(const std::string& backend) const;

  const ConfigSources sources_;
  const Parts parts_;
  ServerOptions options_;
  std::atomic<int64_t> accepted_ = 0;
  std::atomic<int64_t> refused_ = 0;
};

}  // namespace attn

#endif  // ATTN_SERVER_APP_RELOAD_H_
