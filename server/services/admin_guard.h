// Who may call AdminService.
#ifndef ATTN_SERVER_SERVICES_ADMIN_GUARD_H_
#define ATTN_SERVER_SERVICES_ADMIN_GUARD_H_

#include <string>

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "server/services/listen_options.h"

namespace attn {

// Stands before the admin calls of one group of listeners. What counts is the listener, not the
// peer: behind a proxy on this machine every peer is local. Immutable.
class AdminGuard {
 public:
  // `safe_listeners`: only the owner of the server's process, or this machine, can reach them.
  AdminGuard(AdminAccess access, bool safe_listeners, std::string token);

  // OK, or PERMISSION_DENIED that says where to go.
  absl::Status Check(const grpc::ServerContextBase& context) const;

 private:
  const AdminAccess access_;
  const bool open_;  // Every call passes.
  const std::string token_;
};

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_ADMIN_GUARD_H_
