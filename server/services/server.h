// A running gRPC server: listeners, services, health, reflection, and its orderly end.
#ifndef ATTN_SERVER_SERVICES_SERVER_H_
#define ATTN_SERVER_SERVICES_SERVER_H_

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/resource_quota.h"
#include "server/services/listen_address.h"
#include "server/services/listen_options.h"
#include "server/services/listener_group.h"
#include "server/services/memory_return.h"
#include "server/services/readiness.h"
#include "server/services/scope_stream.h"
#include "server/services/service_context.h"

namespace attn {

// Start, Drain and destruction belong to one thread; ready() and draining() to any.
class Server {
 public:
  // Listens on every address or on none. ALREADY_EXISTS if one is taken, INVALID_ARGUMENT if one
  // is malformed, FAILED_PRECONDITION for TLS files that cannot be used. What `services` points to
  // outlives the server.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ListenOptions& options,
                                                       const ServiceContext& services);
  ~Server();  // Closes.

  // As bound, in the order given: `127.0.0.1:8601`, `unix:PATH`. One that names several addresses
  // of this machine, as localhost does, stands there as often.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // Readiness (health name `readiness` and the server as a whole) from the start of this on: off
  // until `ready` is set, while no backend can serve, and for ever once drain is announced.
  // `liveness` is on as long as the process answers.
  void SetReady() { readiness_.SetReady(); }
  void AnnounceDrain() { readiness_.AnnounceDrain(); }  // Calls are served on.

  bool ready() const { return readiness_.ready(); }
  bool draining() const { return readiness_.draining(); }  // From the announcement on.

  // Readiness turns off and new calls are refused with UNAVAILABLE; admitted ones finish and their
  // replies go out, within the limit; then scopes end. False if the limit is over and calls are
  // left, which Close cuts off.
  bool Drain(absl::Duration limit);

  // Closes the listeners, after a Drain that waits for nothing if there was none. gRPC may wait up
  // to 10 s for a peer that reads nothing. A second call does nothing.
  void Close();

  // How many calls Drain has left.
  int64_t cut_off_calls() const { return cut_off_calls_; }

 private:
  explicit Server(const ServiceContext& services);

  absl::Status Listen(const ListenOptions& options);
  absl::Status ResolveAddresses(const ListenOptions& options);
  absl::Status Bind(const std::string& address, const ListenOptions& options);
  absl::Status StartGroup(const ListenOptions& options, bool safe);

  // A binding and whether only this machine or the owner of the process reaches it.
  struct Listener {
    Binding binding;
    bool safe = false;
  };

  const ServiceContext services_;
  ScopeStreams scopes_;
  grpc::ResourceQuota quota_;
  std::vector<SocketLock> locks_;
  std::list<Listener> listeners_;  // In the order given. gRPC keeps pointers into them.
  std::vector<std::string> addresses_;
  std::list<ListenerGroup> groups_;
  Readiness readiness_;  // Tells the groups: it goes before them.
  MemoryReturn memory_return_;
  int64_t cut_off_calls_ = 0;
  bool drained_ = false;
  bool closed_ = false;
};

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_SERVER_H_
