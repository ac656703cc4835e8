#include "server/services/listener_group.h"

#include <sys/stat.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/server_builder.h"
#include "server/services/channel_limits.h"

namespace attn {
namespace {

// A Unix socket has its mode from the moment that it exists: a chmod would come too late.
class SocketUmask {
 public:
  explicit SocketUmask(mode_t mode) : previous_(umask(0777 & ~mode)) {}
  ~SocketUmask() { umask(previous_); }

 private:
  const mode_t previous_;
};

}  // namespace

bool Binding::is_unix() const { return absl::StartsWith(address, "unix:"); }

std::string Binding::bound_address() const {
  if (is_unix()) return address;
  return absl::StrCat(address.substr(0, address.rfind(':') + 1), port);
}

ListenerGroup::ListenerGroup(const ServiceContext& services, ScopeStreams* scopes,
                             Readiness* readiness, AdminGuard guard)
    : readiness_(readiness),
      attention_(services, scopes),
      admin_(services, scopes, readiness, std::move(guard)) {}

absl::Status ListenerGroup::Start(const ListenOptions& options, const grpc::ResourceQuota& quota,
                                  const std::vector<Binding*>& bindings) {
  grpc::ServerBuilder builder;
  SetChannelLimits(options, &builder);
  builder.SetResourceQuota(quota);
  for (Binding* binding : bindings) {
    builder.AddListeningPort(binding->address, binding->credentials, &binding->port);
  }
  builder.RegisterService(&attention_);
  builder.RegisterService(&admin_);
  {
    const SocketUmask socket_umask(options.unix_mode);
    server_ = builder.BuildAndStart();
  }
  for (const Binding* binding : bindings) {
    if (server_ == nullptr || binding->port == 0) {
      return absl::AlreadyExistsError(
          absl::StrCat("listen: cannot listen on '", binding->address,
                       "'; is another server there, or the folder missing?"));
    }
  }
  readiness_->Tell(server_->GetHealthCheckService());
  return absl::OkStatus();
}

void ListenerGroup::Stop(absl::Time deadline) {
  if (server_ == nullptr) return;
  server_->Shutdown(absl::ToChronoTime(deadline));
  server_->Wait();
}

}  // namespace attn
