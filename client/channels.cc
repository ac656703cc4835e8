#include "client/channels.h"

#include <utility>

#include "absl/strings/match.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"

namespace attn {
namespace {

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address,
                                           const ChannelSecurity& security) {
  grpc::ChannelArguments arguments;
  // The server bounds the size of a message; a client has no reason to.
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  // gRPC's own retries keep a reference to every payload until the call ends; unary_call.h has
  // ours.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // Channels with equal arguments would share one connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // The default of one second outlasts our own back-off: a retry would not connect at all.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  // gRPC ends a call only when its pending write has ended, whatever the deadline: with these a
  // TCP peer that stops reading loses its connection after 20 seconds (TCP_USER_TIMEOUT). Servers
  // tolerate pings that come more than five minutes apart.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 330'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  if (absl::StartsWith(address, "unix:")) {
    return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  }
  if (!security.server_name.empty()) arguments.SetSslTargetNameOverride(security.server_name);
  return grpc::CreateCustomChannel(address, security.tcp, arguments);
}

}  // namespace

Channels::Channels(std::string address, int connections, const ChannelSecurity& security)
    : address_(std::move(address)) {
  for (int i = 0; i < connections; ++i) channels_.push_back(OpenChannel(address_, security));
}

const std::shared_ptr<grpc::Channel>& Channels::Next() {
  return channels_[next_++ % channels_.size()];
}

}  // namespace attn
