// A running gRPC server: listeners, services, health, reflection, and its orderly end.
#ifndef ATTN_SERVER_SERVICES_SERVER_H_
#define ATTN_SERVER_SERVICES_SERVER_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/server.h"
#include "server/services/admin_service.h"
#include "server/services/attention_service.h"
#include "server/services/listen_address.h"
#include "server/services/scope_stream.h"
#include "server/services/service_context.h"

namespace attn {

// Which listeners answer AdminService; the others say PERMISSION_DENIED and where to go.
enum class AdminAccess : uint8_t {
  kOff,    // None.
  kLocal,  // Loopback, and Unix sockets that are their owner's alone; elsewhere with a client
           // certificate or the token.
  kAll,    // Every one.
};

// PEM files; read again when they change. All empty = no TLS.
struct TlsFiles {
  std::string certificate;  // Chain of the server, its own first.
  std::string key;
  std::string client_ca;  // Not empty: clients must show a certificate that it signed.
};

struct ListenOptions {
  std::vector<std::string> addresses;  // `host:port` (port 0 = any) or `unix:PATH`
  int64_t max_message_bytes = int64_t{1} << 30;
  int max_concurrent_streams = 256;  // Calls in flight on one connection.
  // Bytes that requests may hold before they are admitted, over all connections; 0 = no bound.
  int64_t max_receive_bytes = 0;
  mode_t unix_mode = 0600;  // Of Unix sockets.
  AdminAccess admin = AdminAccess::kLocal;
  std::string admin_token;  // Empty = none is taken.
  TlsFiles tls;             // Of TCP listeners.
  // Connections are asked to go after this long, so that clients find new servers; infinite =
  // never.
  absl::Duration max_connection_age = absl::InfiniteDuration();
};

// Start, Drain and destruction belong to one thread.
class Server {
 public:
  // Listens on every address or on none. ALREADY_EXISTS if one is taken, INVALID_ARGUMENT if one
  // is malformed. What `services` points to outlives the server.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ListenOptions& options,
                                                       const ServiceContext& services);
  ~Server();

  // As bound, in the order given: `127.0.0.1:8601`, `unix:PATH`. One that names several addresses
  // of this machine, as localhost does, stands there as often.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // Readiness (health name `readiness` and the server as a whole) from the start of this on: off
  // until `ready` is set, while no backend can serve, and for ever once drain is announced.
  // `liveness` is on as long as the process answers.
  void SetReady();
  void AnnounceDrain();  // Calls are served on.

  // Readiness turns off and new calls are refused with UNAVAILABLE; admitted ones finish,
  // within the limit; then scopes end and the listeners close. False if the limit cut calls off.
  bool Drain(absl::Duration limit);

 private:
  explicit Server(const ServiceContext& services);

  absl::Status Listen(const ListenOptions& options);

  const ServiceContext services_;
  ScopeStreams scopes_;
  AttentionServiceImpl attention_;
  AdminServiceImpl admin_;
  std::vector<SocketLock> locks_;
  std::vector<std::string> addresses_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_SERVER_H_
