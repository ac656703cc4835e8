#include "server/services/server.h"

#include <sys/stat.h>

#include <list>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// A peer that vanished without closing its connection (power, network) is found out after this
// long, and its scopes end.
constexpr int kKeepaliveTimeMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
// Pings more often than this from a client close its connection.
constexpr int kMinClientPingIntervalMs = 5'000;

// One bind of gRPC: the address as given to it and the port that it reports.
struct Binding {
  std::string address;
  int port = 0;
};

void SetLimits(const ListenOptions& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  builder->SetMaxSendMessageSize(-1);
  // Two servers on one port would answer in turn, each with its own policy.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                              kMinClientPingIntervalMs);
}

std::string BoundAddress(const Binding& binding) {
  if (absl::StartsWith(binding.address, "unix:")) return binding.address;
  return absl::StrCat(binding.address.substr(0, binding.address.rfind(':') + 1), binding.port);
}

// Sockets are for their owner alone.
class PrivateUmask {
 public:
  PrivateUmask() : previous_(umask(0177)) {}
  ~PrivateUmask() { umask(previous_); }

 private:
  const mode_t previous_;
};

}  // namespace

Server::Server(const ServiceContext& services)
    : services_(services),
      scopes_(services.policy),
      attention_(services_, &scopes_),
      admin_(services_, &scopes_) {}

Server::~Server() { Drain(absl::ZeroDuration()); }

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ListenOptions& options,
                                                      const ServiceContext& services) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  std::unique_ptr<Server> server(new Server(services));
  ATTN_RETURN_IF_ERROR(server->Listen(options));
  return server;
}

absl::Status Server::Listen(const ListenOptions& options) {
  if (options.addresses.empty()) return absl::InvalidArgumentError("listen: no address");
  grpc::ServerBuilder builder;
  SetLimits(options, &builder);
  std::list<Binding> bindings;  // gRPC keeps pointers to the ports.
  const auto bind = [&](std::string address) {
    Binding& binding = bindings.emplace_back(Binding{std::move(address)});
    builder.AddListeningPort(binding.address, grpc::InsecureServerCredentials(), &binding.port);
  };
  for (const std::string& address : options.addresses) {
    absl::string_view path = address;
    if (absl::ConsumePrefix(&path, "unix:")) {
      ATTN_ASSIGN_OR_RETURN(SocketLock lock, SocketLock::Acquire(std::string(path)));
      locks_.push_back(std::move(lock));
      bind(address);
      continue;
    }
    ATTN_ASSIGN_OR_RETURN(std::vector<std::string> resolved, ResolveTcpAddress(address));
    for (std::string& one : resolved) bind(std::move(one));
  }
  builder.RegisterService(&attention_);
  builder.RegisterService(&admin_);
  {
    const PrivateUmask private_umask;
    server_ = builder.BuildAndStart();
  }
  for (const Binding& binding : bindings) {
    if (server_ == nullptr || binding.port == 0) {
      return absl::AlreadyExistsError(
          absl::StrCat("listen: cannot listen on '", binding.address,
                       "'; is another server there, or the folder missing?"));
    }
    addresses_.push_back(BoundAddress(binding));
  }
  return absl::OkStatus();
}

bool Server::Drain(absl::Duration limit) {
  if (server_ == nullptr) return true;
  const absl::Time deadline = absl::Now() + limit;
  server_->GetHealthCheckService()->SetServingStatus(false);
  const bool drained = services_.executor->Drain(limit);
  scopes_.EndAll();
  server_->Shutdown(absl::ToChronoTime(drained ? deadline + absl::Seconds(1) : absl::Now()));
  server_->Wait();
  server_ = nullptr;
  return drained;
}

}  // namespace attn
