// The options of a server, as plain values. config_keys.h says how each is written, what it may be
// and what it is for; server_config.h loads them.
#ifndef ATTN_SERVER_CONFIG_SERVER_OPTIONS_H_
#define ATTN_SERVER_CONFIG_SERVER_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace attn {

// Every integer is an int64_t, whatever its bounds, so that one table describes them all.
struct ServerOptions {
  std::vector<std::string> listen = {"localhost:8601"};  // `host:port` or `unix:PATH`
  std::string metrics_listen = "localhost:8602";         // Port 0 = any; `off` = none
  int64_t unix_mode = 0600;                              // Of Unix sockets.
  std::string admin = "local";                           // off, local, all
  std::string admin_token_file;                          // Empty = no token is taken.
  std::string tls_certificate;                           // The three empty = no TLS.
  std::string tls_key;
  std::string tls_client_ca;
  int64_t max_connection_age_ms = 0;             // 0 = for ever
  int64_t max_message_bytes = int64_t{1} << 30;  // At most 2^31 - 1: protobuf's own bound.
  int64_t max_receive_bytes = 0;                 // 0 = receive_bytes() says.
  int64_t max_concurrent_streams = 256;

  std::string presets;        // Path of attention_config.yaml; empty = no presets
  std::string force_backend;  // Empty = none
  std::string plugin_dir;     // Empty = no plug-ins

  int64_t workers = 0;           // Threads that compute; 0 = one for each CPU that they may use.
  std::string worker_cpus;       // `0-7,16-23`: a worker on each; empty = the scheduler decides.
  int64_t numa_node = -1;        // Whose CPUs and memory workers use; -1 = none in particular.
  std::string cpu_isa = "auto";  // Of the CPU engine, as kernels/engines/cpu/cpu_isa.h names them.
  int64_t max_waiting_calls = 256;
  int64_t max_waiting_batch_calls = 256;
  int64_t max_running_calls = 16;
  int64_t max_admitted_bytes = int64_t{4} << 30;
  int64_t max_admitted_batch_bytes = 0;  // 0 = half of max_admitted_bytes
  int64_t max_batch_calls = 16;
  int64_t batch_delay_us = 0;
  int64_t pool_idle_bytes = int64_t{1} << 30;

  bool warmup = true;
  int64_t lame_duck_ms = 0;
  int64_t drain_limit_ms = 30'000;

  std::string log_format = "text";
  std::string log_level = "info";
  int64_t slow_call_ms = 0;  // 0 = no call is slow.

  // max_admitted_batch_bytes with its 0 resolved.
  int64_t admitted_batch_bytes() const {
    return max_admitted_batch_bytes == 0 ? max_admitted_bytes / 2 : max_admitted_batch_bytes;
  }
  // max_receive_bytes with its 0 resolved: the requests of admitted calls, and two on their way.
  int64_t receive_bytes() const {
    return max_receive_bytes == 0 ? max_admitted_bytes + 2 * max_message_bytes : max_receive_bytes;
  }
};

}  // namespace attn

#endif  // ATTN_SERVER_CONFIG_SERVER_OPTIONS_H_
