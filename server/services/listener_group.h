// The listeners of a server that answer admin calls alike: one gRPC server.
//
// gRPC tells a call where its peer is, not which listener the peer came in by. So listeners that
// trust their peers and those that do not belong to two gRPC servers over the same state.
#ifndef ATTN_SERVER_SERVICES_LISTENER_GROUP_H_
#define ATTN_SERVER_SERVICES_LISTENER_GROUP_H_

#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "server/services/admin_guard.h"
#include "server/services/admin_service.h"
#include "server/services/attention_service.h"
#include "server/services/listen_options.h"
#include "server/services/readiness.h"
#include "server/services/scope_stream.h"
#include "server/services/service_context.h"

namespace attn {

// One bind of gRPC: an address as gRPC takes it, and the port that it reports.
struct Binding {
  std::string address;
  std::shared_ptr<grpc::ServerCredentials> credentials;
  int port = 0;

  bool is_unix() const;
  std::string bound_address() const;  // With the port that was bound.
};

class ListenerGroup {
 public:
  // Borrows all but the guard.
  ListenerGroup(const ServiceContext& services, ScopeStreams* scopes, Readiness* readiness,
                AdminGuard guard);

  // Serves on `bindings`, which outlive this, and sets their ports. ALREADY_EXISTS if one is taken.
  absl::Status Start(const ListenOptions& options, const grpc::ResourceQuota& quota,
                     const std::vector<Binding*>& bindings);

  // Ends what is left at `deadline`; returns when nothing is.
  void Stop(absl::Time deadline);

 private:
  Readiness* const readiness_;
  AttentionServiceImpl attention_;
  AdminServiceImpl admin_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_LISTENER_GROUP_H_
