// Where and with what a run was made, so that its figures can be read later.
#ifndef ATTN_CLIENT_LOAD_ENVIRONMENT_H_
#define ATTN_CLIENT_LOAD_ENVIRONMENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/attention_client.h"

namespace attn::load {

// What a server says of itself.
struct ServerFacts {
  std::string address;
  std::string version;                // Empty: it does not say.
  std::vector<std::string> backends;  // Available ones, as `flash (cpu)`.
};

// The machine is the client's; it is the server's as well only where they share one.
struct Environment {
  std::string machine;
  std::string cpu;
  int cores = 0;
  int64_t memory_bytes = 0;
  std::string kernel;
  std::string client_version;
  absl::Time started;
  std::vector<ServerFacts> servers;
};

Environment DescribeEnvironment();

// Asks the server; an error if it cannot be reached.
absl::StatusOr<ServerFacts> DescribeServer(const std::string& address, AttentionClient& client);

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_ENVIRONMENT_H_
