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

// Calls in flight on one connection; each may hold a whole message.
constexpr int kMaxConcurrentStreams = 256;
// From the last admitted call's end to the closing of connections: replies reach their callers.
constexpr absl::Duration kFarewell = absl::Seconds(2);

// One bind of gRPC: the address as given to it and the port that it reports.
struct Binding {
  std::string address;
  int port = 0;
};

void SetLimits(const ListenOptions& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  builder->SetMaxSendMessageSize(-1);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxConcurrentStreams);
  // A compressed message is measured only after it has been inflated: 1 MB on the wire may be 1 GB.
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
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
      scopes_(services.policy, services.registry),
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
  // By name as well: `SERVING` for the server as a whole is gRPC's own default.
  for (const char* service : {"attention.v1.AttentionService", "attention.v1.AdminService"}) {
    server_->GetHealthCheckService()->SetServingStatus(service, true);
  }
  return absl::OkStatus();
}

bool Server::Drain(absl::Duration limit) {
  if (server_ == nullptr) return true;
  server_->GetHealthCheckService()->SetServingStatus(false);
  const bool drained = services_.executor->Drain(limit);
  scopes_.EndAll();
  // What is left are replies on their way, and streams of others (health watches, reflection),
  // which would last for ever.
  server_->Shutdown(absl::ToChronoTime(absl::Now() + (drained ? kFarewell : absl::ZeroDuration())));
  server_->Wait();
  server_ = nullptr;
  return drained;
}

}  // namespace attn
