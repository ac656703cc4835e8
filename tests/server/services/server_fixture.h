// A server in this process, over backends whose availability a test switches.
#ifndef ATTN_TESTS_SERVER_SERVICES_SERVER_FIXTURE_H_
#define ATTN_TESTS_SERVER_SERVICES_SERVER_FIXTURE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/attention_client.h"
#include "server/services/server.h"

namespace attn {

// Whether backends are available, and what they announce.
class Availability {
 public:
  bool Get() ABSL_LOCKS_EXCLUDED(mutex_);
  void Set(bool available) ABSL_LOCKS_EXCLUDED(mutex_);
  void Hold() ABSL_LOCKS_EXCLUDED(mutex_);
  bool Release() ABSL_LOCKS_EXCLUDED(mutex_);
  int64_t workspace_bytes() const { return workspace_bytes_; }
  void SetWorkspaceBytes(int64_t bytes) { workspace_bytes_ = bytes; }

 private:
  absl::Mutex mutex_;
  bool available_ ABSL_GUARDED_BY(mutex_) = true;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  bool asked_ ABSL_GUARDED_BY(mutex_) = false;  // While held.
  std::atomic<int64_t> workspace_bytes_ = 0;
};

// What a server stands on, and a folder for its sockets and certificates.
class ServerParts {
 public:
  ServerParts();
  // Over these backends in place of `flash` and `eager`; `observer` is told of calls.
  ServerParts(Registry registry, std::unique_ptr<CallObserver> observer);
  ~ServerParts();

  absl::StatusOr<std::unique_ptr<Server>> Start(const ListenOptions& options);

  PolicyState& policy() const { return *policy_; }
  Executor& executor() const { return *executor_; }
  // Of `flash` and `eager` both.
  void SetAvailable(bool available) { availability_->Set(available); }
  // What both announce for any call; 0 before.
  void SetWorkspaceBytes(int64_t bytes) { availability_->SetWorkspaceBytes(bytes); }
  // Returns when somebody asks for it, who gets no answer before ReleaseAvailability or ten seconds
  // have passed. False for the latter.
  void HoldAvailability() { availability_->Hold(); }
  bool ReleaseAvailability() { return availability_->Release(); }
  const std::string& log_level() const { return *log_level_; }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

 private:
  ServerParts(std::shared_ptr<Availability> availability, Registry registry,
              std::unique_ptr<CallObserver> observer);
  explicit ServerParts(const std::shared_ptr<Availability>& availability);

  std::string folder_;
  const std::shared_ptr<Availability> availability_;
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
