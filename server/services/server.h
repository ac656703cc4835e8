// A running gRPC server: listeners, services, health, reflection, and its orderly end.
#ifndef ATTN_SERVER_SERVICES_SERVER_H_
#define ATTN_SERVER_SERVICES_SERVER_H_

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

struct ListenOptions {
  std::vector<std::string> addresses;  // `host:port` (port 0 = any) or `unix:PATH`
  int64_t max_message_bytes = int64_t{1} << 30;
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

  // Health turns to NOT_SERVING and new calls are refused with UNAVAILABLE; admitted ones finish,
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
