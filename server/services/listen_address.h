// Addresses a server listens on, claimed so that two servers never share one.
#ifndef ATTN_SERVER_SERVICES_LISTEN_ADDRESS_H_
#define ATTN_SERVER_SERVICES_LISTEN_ADDRESS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace attn {

// What gRPC is told to bind for one `host:port`: every address of the host that this machine has
// (`localhost` is 127.0.0.1 and, where there is IPv6, ::1), or the first alone for port 0, where
// each would get another port. ALREADY_EXISTS if another process listens on one of them,
// INVALID_ARGUMENT for a host that does not resolve or belongs to another machine.
absl::StatusOr<std::vector<std::string>> ResolveTcpAddress(const std::string& address);

// True for an address of ResolveTcpAddress that only this machine can reach. The warnings of
// server/config/option_combinations.cc judge as it does.
bool IsLoopback(absl::string_view resolved);

// A Unix socket's path, locked against other servers as long as this lives. The lock is a file
// beside the socket: a socket file alone outlives a server that was killed.
class SocketLock {
 public:
  // ALREADY_EXISTS if another server holds the path, FAILED_PRECONDITION if something that is no
  // socket is there or the folder does not allow it.
  static absl::StatusOr<SocketLock> Acquire(const std::string& path);

  SocketLock(SocketLock&& other) noexcept;
  SocketLock& operator=(SocketLock&&) = delete;
  // Removes the socket.
  ~SocketLock();

 private:
  SocketLock(std::string path, int fd);

  std::string path_;
  int fd_ = -1;
};

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_LISTEN_ADDRESS_H_
