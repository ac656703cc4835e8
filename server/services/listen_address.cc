#include "server/services/listen_address.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace attn {
namespace {

struct HostPort {
  std::string host;
  std::string port;
};

absl::StatusOr<HostPort> Split(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == address.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("listen: '", address, "' is neither host:port nor unix:PATH"));
  }
  std::string host = address.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return HostPort{std::move(host), address.substr(colon + 1)};
}

std::string Text(const addrinfo& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.ai_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address.ai_addr);
    inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
    return absl::StrCat("[", text, "]:", ntohs(v6->sin6_port));
  }
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(address.ai_addr);
  inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
  return absl::StrCat(text, ":", ntohs(v4->sin_port));
}

// 0, or errno of binding `address` for itself alone. gRPC reports no reason of its own.
int TryBind(const addrinfo& address) {
  const int fd = socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (address.ai_family == AF_INET6) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  }
  int error = bind(fd, address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
  if (error == 0 && listen(fd, 1) != 0) error = errno;
  close(fd);
  return error;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ResolveTcpAddress(const std::string& address) {
  const absl::StatusOr<HostPort> parts = Split(address);
  if (!parts.ok()) return parts.status();
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  // `localhost` may be missing from a container's hosts file.
  const std::vector<std::string> hosts = parts->host == "localhost"
                                             ? std::vector<std::string>{"127.0.0.1", "::1"}
                                             : std::vector<std::string>{parts->host};
  std::vector<std::string> usable;
  std::vector<std::string> reasons;
  for (const std::string& host : hosts) {
    const int error = getaddrinfo(host.c_str(), parts->port.c_str(), &hints, &found);
    if (error != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("listen: '", address, "': ", gai_strerror(error)));
    }
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
    for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
      const int bind_error = TryBind(*entry);
      if (bind_error == EADDRINUSE) {
        return absl::AlreadyExistsError(absl::StrCat("listen: '", address,
                                                     "': another process listens on ", Text(*entry),
                                                     "; stop it or choose another port"));
      }
      if (bind_error == EACCES) {
        return absl::PermissionDeniedError(absl::StrCat("listen: '", address,
                                                        "': ", std::strerror(bind_error),
                                                        "; ports below 1024 need privileges"));
      }
      if (bind_error == 0) {
        usable.push_back(Text(*entry));
        if (parts->port == "0") return usable;
      } else {
        reasons.push_back(absl::StrCat(Text(*entry), ": ", std::strerror(bind_error)));
      }
    }
  }
  if (usable.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("listen: '", address,
                                                   "' is no address of this machine (",
                                                   absl::StrJoin(reasons, "; "), ")"));
  }
  return usable;
}

bool IsLoopback(absl::string_view resolved) {
  return absl::StartsWith(resolved, "127.") || absl::StartsWith(resolved, "[::1]:");
}

SocketLock::SocketLock(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

SocketLock::SocketLock(SocketLock&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

SocketLock::~SocketLock() {
  if (fd_ < 0) return;
  unlink(path_.c_str());
  // The lock file stays: a server that had opened it just before an unlink would hold a lock that
  // nobody else sees.
  close(fd_);
}

absl::StatusOr<SocketLock> SocketLock::Acquire(const std::string& path) {
  const std::string lock_path = absl::StrCat(path, ".lock");
  const int fd = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("listen: 'unix:", path, "': cannot create ", lock_path, ": ",
                     std::strerror(errno), "; name a folder that this process may write to"));
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    return absl::AlreadyExistsError(absl::StrCat("listen: 'unix:", path,
                                                 "': another server holds this socket; stop it or "
                                                 "choose another path"));
  }
  SocketLock lock(path, fd);
  struct stat status {};
  if (lstat(path.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode)) {
    close(std::exchange(lock.fd_, -1));  // The destructor would remove what is not ours.
    return absl::FailedPreconditionError(
        absl::StrCat("listen: 'unix:", path, "': something that is no socket is there"));
  }
  return lock;
}

}  // namespace attn
