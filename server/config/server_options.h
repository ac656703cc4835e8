// The options of a server: from config/server.yaml, then flags and environment over it.
#ifndef ATTN_SERVER_CONFIG_SERVER_OPTIONS_H_
#define ATTN_SERVER_CONFIG_SERVER_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace attn {

struct ServerOptions {
  std::vector<std::string> listen = {"localhost:8601"};  // `host:port` or `unix:PATH`
  std::string metrics_listen = "localhost:8602";  // No other name. Port 0 = any; `off` = none
  std::string presets;          // Path of attention_config.yaml; empty = no presets
  std::string force_backend;    // Empty = none
  int workers = 0;              // Threads that compute; 0 = one a core
  int max_waiting_calls = 256;  // In the queue, beside those running; 0 = refuse what cannot run.
  int max_running_calls = 16;
  int64_t max_admitted_bytes = int64_t{4} << 30;
  int64_t max_message_bytes = int64_t{1} << 30;  // At most 2^31 - 1: protobuf's own bound.
  int64_t pool_idle_bytes = int64_t{1} << 30;    // Payload buffers kept between calls.
  int64_t drain_limit_ms = 30'000;
};

// Reads a YAML file. INVALID_ARGUMENT lists every mistake, one a line, as FILE:LINE: what, with the
// nearest known key. Relative paths in it are relative to the file.
absl::StatusOr<ServerOptions> LoadServerOptions(const std::string& path);

// Ranges and addresses, however they were given. INVALID_ARGUMENT lists every mistake.
absl::Status Validate(const ServerOptions& options);

}  // namespace attn

#endif  // ATTN_SERVER_CONFIG_SERVER_OPTIONS_H_
