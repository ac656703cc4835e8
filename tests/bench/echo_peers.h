// Clients of the echo servers: each sends `bytes` and gets them back.
#ifndef ATTN_TESTS_BENCH_ECHO_PEERS_H_
#define ATTN_TESTS_BENCH_ECHO_PEERS_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace attn {

class EchoPeer {
 public:
  virtual ~EchoPeer() = default;
  // Seconds from the call to the bytes' return in memory of this process. `bytes` is a multiple
  // of 1 KiB. The reply is checked (its size always, its content at both ends).
  virtual absl::StatusOr<double> Echo(std::span<const std::byte> bytes) = 0;
};

std::unique_ptr<EchoPeer> CreateAttndPeer(const std::string& address);
std::unique_ptr<EchoPeer> CreateProtobufPeer(const std::string& address);
std::unique_ptr<EchoPeer> CreateSocketPeer(const std::string& address);
// Runs `command` (the client side of flight_echo.py), which times itself.
std::unique_ptr<EchoPeer> CreateFlightPeer(const std::string& command);

}  // namespace attn

#endif  // ATTN_TESTS_BENCH_ECHO_PEERS_H_
