#include "server/app/part_options.h"

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace attn {
namespace {

AdminAccess AdminAccessOf(const ServerOptions& options) {
  if (options.admin == "off") return AdminAccess::kOff;
  return options.admin == "all" ? AdminAccess::kAll : AdminAccess::kLocal;
}

void LogTlsReload(const absl::Status& status, ServerLog* log) {
  if (status.ok()) {
    log->Write(LogLevel::kInfo, "TLS files read again");
  } else {
    log->Write(LogLevel::kWarning, "changed TLS files not used, the old ones stay",
               {{"mistake", std::string(status.message())}});
  }
}

}  // namespace

ExecutorLimits ExecutorLimitsOf(const ServerOptions& options) {
  ExecutorLimits limits;
  limits.max_waiting = static_cast<int>(options.max_waiting_calls);
  limits.max_waiting_batch = static_cast<int>(options.max_waiting_batch_calls);
  limits.max_running = static_cast<int>(options.max_running_calls);
  limits.max_admitted_bytes = options.max_admitted_bytes;
  limits.max_admitted_batch_bytes = options.admitted_batch_bytes();
  limits.max_batch_calls = static_cast<int>(options.max_batch_calls);
  limits.batch_delay = absl::Microseconds(options.batch_delay_us);
  return limits;
}

absl::Duration SlowCall(const ServerOptions& options) {
  return options.slow_call_ms == 0 ? absl::InfiniteDuration()
                                   : absl::Milliseconds(options.slow_call_ms);
}

LogOptions LogOptionsOf(const ServerOptions& options) {
  LogOptions log;
  log.format = options.log_format == "json" ? LogFormat::kJson : LogFormat::kText;
  log.level = ParseLogLevel(options.log_level).value();
  log.slow_call = SlowCall(options);
  return log;
}

ListenOptions ListenOptionsOf(const ServerOptions& options, const std::string& admin_token,
                              ServerLog* log) {
  ListenOptions listen;
  listen.addresses = options.listen;
  listen.max_message_bytes = options.max_message_bytes;
  listen.max_concurrent_streams = static_cast<int>(options.max_concurrent_streams);
  listen.max_receive_bytes = options.receive_bytes();
  listen.unix_mode = static_cast<mode_t>(options.unix_mode);
  listen.admin = AdminAccessOf(options);
  listen.admin_token = admin_token;
  listen.tls = {options.tls_certificate, options.tls_key, options.tls_client_ca};
  if (options.max_connection_age_ms > 0) {
    listen.max_connection_age = absl::Milliseconds(options.max_connection_age_ms);
  }
  listen.tls_reloaded = [log](const absl::Status& status) { LogTlsReload(status, log); };
  return listen;
}

}  // namespace attn
