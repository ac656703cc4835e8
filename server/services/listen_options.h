// Where a server listens, and what it lets a peer do before a call is admitted.
#ifndef ATTN_SERVER_SERVICES_LISTEN_OPTIONS_H_
#define ATTN_SERVER_SERVICES_LISTEN_OPTIONS_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/services/tls_files.h"

namespace attn {

// Which listeners answer AdminService; the others say PERMISSION_DENIED and where to go.
enum class AdminAccess : uint8_t {
  kOff,    // None.
  kLocal,  // Loopback, and Unix sockets that are their owner's alone; elsewhere with a client
           // certificate or the token.
  kAll,    // Every one.
};

struct ListenOptions {
  std::vector<std::string> addresses;  // `host:port` (port 0 = any) or `unix:PATH`
  int64_t max_message_bytes = int64_t{1} << 30;
  int max_concurrent_streams = 256;  // Calls in flight on one connection.
  // Bytes that requests may hold, over all connections, from their first byte until their call has
  // run; 0 = no bound. What the executor admits is among them: set it above max_admitted_bytes by
  // what may be on its way in, or admitted calls are cut off. channel_limits.h says what a bound
  // does.
  int64_t max_receive_bytes = 0;
  mode_t unix_mode = 0600;  // Of Unix sockets.
  AdminAccess admin = AdminAccess::kLocal;
  std::string admin_token;  // Empty = none is taken.
  TlsFiles tls;             // Of TCP listeners.
  // Connections are asked to go after this long, so that clients find new servers; infinite =
  // never. Calls and scopes on them end in their own time.
  absl::Duration max_connection_age = absl::InfiniteDuration();
  // Told when changed TLS files were read: OK, or why the old ones stay in use. May be empty;
  // called from any thread, once for each TCP listener.
  std::function<void(const absl::Status&)> tls_reloaded = nullptr;
};

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_LISTEN_OPTIONS_H_
