// What metrics show of the server beside its calls, asked for at every scrape. The composition root
// fills it in, so that telemetry knows no policy.
#ifndef ATTN_SERVER_TELEMETRY_SERVER_STATE_H_
#define ATTN_SERVER_TELEMETRY_SERVER_STATE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace attn {

struct BackendState {
  std::string name;  // Canonical: a label value.
  std::string device;
  bool available = false;  // On this machine; a quarantine leaves it so.
};

struct QuarantineState {
  std::string backend;  // Canonical.
  bool automatic = false;
};

struct ServerState {
  std::vector<BackendState> backends;
  std::vector<QuarantineState> quarantined;
  std::string cpu_isa;         // Of the CPU engine.
  std::string forced_backend;  // Canonical or `auto`; empty = no forced override.
  int call_scopes = 0;
  int process_scopes = 0;
  bool ready = false;
  bool draining = false;
  // Since the start.
  int64_t accepted_reloads = 0;
  int64_t refused_reloads = 0;
  int64_t dropped_log_lines = 0;
};

// Called from a thread of the metrics endpoint, one scrape at a time or several at once.
using ServerStateSource = std::function<ServerState()>;

}  // namespace attn

#endif  // ATTN_SERVER_TELEMETRY_SERVER_STATE_H_
