// The options of the server's parts, from those of the configuration. The parts know no
// configuration, and the configuration knows no parts.
#ifndef ATTN_SERVER_APP_PART_OPTIONS_H_
#define ATTN_SERVER_APP_PART_OPTIONS_H_

#include <string>

#include "server/config/server_options.h"
#include "server/executor/executor.h"
#include "server/services/listen_options.h"
#include "server/telemetry/server_log.h"

namespace attn {

// All of checked options (server/config/server_config.h).
ExecutorLimits ExecutorLimitsOf(const ServerOptions& options);
LogOptions LogOptionsOf(const ServerOptions& options);
// `log` is told when TLS files were read again; it outlives the server.
ListenOptions ListenOptionsOf(const ServerOptions& options, const std::string& admin_token,
                              ServerLog* log);

// As ServerLog takes it: 0 = no call is slow.
absl::Duration SlowCall(const ServerOptions& options);

}  // namespace attn

#endif  // ATTN_SERVER_APP_PART_OPTIONS_H_
