// A real attnd on a free port and a Unix socket.
#ifndef ATTN_TESTS_E2E_SERVER_PROCESS_H_
#define ATTN_TESTS_E2E_SERVER_PROCESS_H_

#include <memory>
#include <string>
#include <vector>

#include "client/attention_client.h"
#include "tests/e2e/process.h"

namespace attn {

class ServerProcess {
 public:
  // Starts `attnd` with a port of 127.0.0.1, a Unix socket, a metrics port and `arguments`.
  explicit ServerProcess(const std::vector<std::string>& arguments = {},
                         const Process::Environment& environment = {});
  ~ServerProcess();

  const std::string& tcp() const { return tcp_; }                     // `127.0.0.1:PORT`
  const std::vector<std::string>& listen() const { return listen_; }  // All, in the order given.
  const std::string& unix_socket() const { return unix_; }            // `unix:PATH`
  const std::string& metrics() const { return metrics_; }             // `127.0.0.1:PORT`
  Process& process() { return *process_; }

  std::unique_ptr<AttentionClient> Connect(const std::string& address) const;
  std::unique_ptr<AttentionClient> Connect() const { return Connect(unix_); }

  // Runs `attn` against this server.
  ProcessOutput Attn(std::vector<std::string> arguments,
                     const Process::Environment& environment = {}) const;

  // SIGTERM, then the exit.
  ProcessOutput Stop();

 private:
  std::string folder_;
  std::unique_ptr<Process> process_;
  std::vector<std::string> listen_;
  std::string tcp_;
  std::string unix_;
  std::string metrics_;
};

}  // namespace attn

#endif  // ATTN_TESTS_E2E_SERVER_PROCESS_H_
