// The connections of a client to one server.
#ifndef ATTN_CLIENT_CHANNELS_H_
#define ATTN_CLIENT_CHANNELS_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "client/channel_security.h"
#include "grpcpp/channel.h"

namespace attn {

// Thread-safe. Connects when first used.
class Channels {
 public:
  // `address` is a checked one (server_address.h); `connections` >= 1.
  Channels(std::string address, int connections, const ChannelSecurity& security);

  const std::string& address() const { return address_; }

  // The connections in turn.
  const std::shared_ptr<grpc::Channel>& Next();

 private:
  const std::string address_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::atomic<size_t> next_ = 0;
};

}  // namespace attn

#endif  // ATTN_CLIENT_CHANNELS_H_
