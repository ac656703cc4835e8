// A server in this process, over backends whose availability a test switches.
#ifndef ATTN_TESTS_SERVER_SERVICES_SERVER_FIXTURE_H_
#define ATTN_TESTS_SERVER_SERVICES_SERVER_FIXTURE_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "client/attention_client.h"
#include "server/services/server.h"

namespace attn {

// What a server stands on, and a folder for its sockets and certificates.
class ServerParts {
 public:
  ServerParts();
  ~ServerParts();

  absl::StatusOr<std::unique_ptr<Server>> Start(const ListenOptions& options);

  PolicyState& policy() const { return *policy_; }
  Executor& executor() const { return *executor_; }
  // Of `flash` and `eager` both.
  void SetAvailable(bool available) { *available_ = available; }
  const std::string& log_level() const { return *log_level_; }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

 private:
  std::string folder_;
  const std::shared_ptr<std::atomic<bool>> available_;
  const std::shared_ptr<std::string> log_level_ = std::make_shared<std::string>("info");
  Registry registry_;
  const std::unique_ptr<PolicyState> policy_;
  const std::unique_ptr<Executor> executor_;
  BufferPool buffers_{0};
  BackendFaults faults_;
  ReplyLedger replies_{int64_t{1} << 30};
  const std::unique_ptr<CallObserver> observer_;
};

// A client that does not repeat calls.
std::unique_ptr<AttentionClient> ConnectOnce(const std::string& address, ClientTls tls = {},
                                             const std::string& admin_token = "");

// `127.0.0.1:PORT` of a server that was bound to every interface.
std::string OverLoopback(const std::string& bound);

// True as soon as `health` has that answer for `service`; false after ten seconds.
bool BecomesHealth(AttentionClient& client, const std::string& service, const std::string& health);

}  // namespace attn

#endif  // ATTN_TESTS_SERVER_SERVICES_SERVER_FIXTURE_H_
