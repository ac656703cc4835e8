// What the transport benchmark measures against, each behind a server in another process.
#ifndef ATTN_TESTS_BENCH_ECHO_SERVERS_H_
#define ATTN_TESTS_BENCH_ECHO_SERVERS_H_

#include <string>

namespace attn {

// Where the servers of one process listen, under `folder` or on ports of 127.0.0.1.
struct EchoAddresses {
  std::string attnd_tcp;
  std::string attnd_unix;
  std::string protobuf_tcp;
  std::string protobuf_unix;
  std::string socket_tcp;
  std::string socket_unix;
};

// Serves attnd with the echo backend, the same contract through plain generated protobuf, and a
// plain socket, prints the addresses as one line and runs until killed.
int ServeEchoes(const std::string& folder);

// Starts ServeEchoes in a child by re-running this program; the child dies with this process.
EchoAddresses StartEchoServers(const std::string& program, const std::string& folder);

}  // namespace attn

#endif  // ATTN_TESTS_BENCH_ECHO_SERVERS_H_
