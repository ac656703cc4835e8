#include "server/services/server.h"

#include <numeric>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "google/protobuf/stubs/logging.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/security/server_credentials.h"
#include "kernels/core/status_macros.h"
#include "server/services/admin_guard.h"
#include "server/services/channel_limits.h"
#include "server/services/tls_credentials.h"

namespace attn {
namespace {

// From the last reply to the closing of connections: what gRPC has taken goes out.
constexpr absl::Duration kFarewell = absl::Milliseconds(500);
// How often the end of draining looks whether all replies are gone.
constexpr absl::Duration kReplyPoll = absl::Milliseconds(10);

// Nobody but the owner may connect. Twin: server/config/option_combinations.cc, for its warnings.
bool IsOwnersAlone(mode_t unix_mode) { return (unix_mode & 077) == 0; }

int64_t Calls(const QueueLoad& load) {
  return std::accumulate(load.waiting_calls.begin(), load.waiting_calls.end(), int64_t{0}) +
         std::accumulate(load.running_calls.begin(), load.running_calls.end(), int64_t{0});
}

}  // namespace

Server::Server(const ServiceContext& services)
    : services_(services),
      scopes_(services.policy, services.registry),
      readiness_(services.registry, services.policy),
      memory_return_(services.executor) {}

Server::~Server() { Close(); }

void Server::Close() {
  if (closed_) return;
  closed_ = true;
  if (!drained_) Drain(absl::ZeroDuration());
  // What is left are the last bytes of replies, and streams of others (health watches, reflection),
  // which would last for ever.
  const absl::Time end = absl::Now() + (cut_off_calls_ == 0 ? kFarewell : absl::ZeroDuration());
  for (ListenerGroup& group : groups_) group.Stop(end);
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ListenOptions& options,
                                                      const ServiceContext& services) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  // Protobuf would write a line for each text that is no UTF-8, on the thread that reads the call,
  // which stands still where nobody reads the lines.
  google::protobuf::SetLogHandler(nullptr);
  std::unique_ptr<Server> server(new Server(services));
  ATTN_RETURN_IF_ERROR(server->Listen(options));
  return server;
}

absl::Status Server::Listen(const ListenOptions& options) {
  if (options.addresses.empty()) return absl::InvalidArgumentError("listen: no address");
  if (!options.tls.empty()) ATTN_RETURN_IF_ERROR(ReadTlsFiles(options.tls).status());
  ATTN_RETURN_IF_ERROR(ResolveAddresses(options));
  SetQuota(options, &quota_);
  for (const bool safe : {true, false}) ATTN_RETURN_IF_ERROR(StartGroup(options, safe));
  for (const Listener& one : listeners_) addresses_.push_back(one.binding.bound_address());
  return absl::OkStatus();
}

absl::Status Server::ResolveAddresses(const ListenOptions& options) {
  for (const std::string& address : options.addresses) {
    absl::string_view path = address;
    if (absl::ConsumePrefix(&path, "unix:")) {
      ATTN_ASSIGN_OR_RETURN(SocketLock lock, SocketLock::Acquire(std::string(path)));
      locks_.push_back(std::move(lock));
      ATTN_RETURN_IF_ERROR(Bind(address, options));
      continue;
    }
    ATTN_ASSIGN_OR_RETURN(const std::vector<std::string> resolved, ResolveTcpAddress(address));
    for (const std::string& one : resolved) ATTN_RETURN_IF_ERROR(Bind(one, options));
  }
  return absl::OkStatus();
}

// What an address asks for; it is bound when its group starts.
absl::Status Server::Bind(const std::string& address, const ListenOptions& options) {
  Listener listener{{address, grpc::InsecureServerCredentials()}};
  if (listener.binding.is_unix()) {
    listener.safe = IsOwnersAlone(options.unix_mode);
  } else {
    listener.safe = IsLoopback(address);
    if (!options.tls.empty()) {
      ATTN_ASSIGN_OR_RETURN(listener.binding.credentials,
                            CreateTlsCredentials(options.tls, options.tls_reloaded));
    }
  }
  listeners_.push_back(std::move(listener));
  return absl::OkStatus();
}

absl::Status Server::StartGroup(const ListenOptions& options, bool safe) {
  std::vector<Binding*> bindings;
  for (Listener& listener : listeners_) {
    if (listener.safe == safe) bindings.push_back(&listener.binding);
  }
  if (bindings.empty()) return absl::OkStatus();
  ListenerGroup& group = groups_.emplace_back(services_, &scopes_, &readiness_,
                                              AdminGuard(options.admin, safe, options.admin_token));
  return group.Start(options, quota_, bindings);
}

bool Server::Drain(absl::Duration limit) {
  drained_ = true;
  readiness_.AnnounceDrain();
  const absl::Time deadline = absl::Now() + limit;
  services_.executor->Drain(limit);
  while (services_.replies->replies() > 0 && absl::Now() < deadline) absl::SleepFor(kReplyPoll);
  cut_off_calls_ = Calls(services_.executor->load()) + services_.replies->replies();
  scopes_.EndAll();
  return cut_off_calls_ == 0;
}

}  // namespace attn
