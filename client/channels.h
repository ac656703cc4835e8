// The connections of a client to one server.
#ifndef ATTN_CLIENT_CHANNELS_H_
#define ATTN_CLIENT_CHANNELS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/channel.h"

namespace attn {

// Thread-safe. Connects when first used.
class Channels {
 public:
  // `address` is a checked one (server_address.h); `connections` >= 1.
  Channels(std::string address, int connections);

  const std::string& address() const { return address_; }

  // The connections in turn.
  std::shared_ptr<grpc::Channel> Next();

  // Puts a fresh connection in the place of `channel`; the old one closes with its last user.
  void Replace(const std::shared_ptr<grpc::Channel>& channel);

 private:
  const std::string address_;
  absl::Mutex mutex_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_ ABSL_GUARDED_BY(mutex_);
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace attn

#endif  // ATTN_CLIENT_CHANNELS_H_
