// A server that answers as a test says: generated protobuf and gRPC's own services, nothing of
// ours, so that the client is held against the contract and not against our server.
#ifndef ATTN_TESTS_CLIENT_FAKE_SERVER_H_
#define ATTN_TESTS_CLIENT_FAKE_SERVER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "client/attention_client.h"
#include "grpcpp/grpcpp.h"
#include "proto/attention/v1/admin.grpc.pb.h"
#include "proto/attention/v1/attention.grpc.pb.h"

namespace attn {

// What a held scope's stream did, in order: `open BACKEND`, `half-close`, `cancelled`.
class EventLog {
 public:
  void Add(const std::string& event);
  std::vector<std::string> events() const;
  // False if it has not come after ten seconds.
  bool WaitFor(const std::string& event) const;

 private:
  mutable absl::Mutex mutex_;
  std::vector<std::string> events_ ABSL_GUARDED_BY(mutex_);
};

// How a fake server holds scopes.
struct ScopeBehaviour {
  grpc::Status refusal;                    // Not OK: the answer to the first message.
  std::string id = "scope-1";              // Empty = answers without one.
  bool expire = false;                     // Ends by itself with DEADLINE_EXCEEDED once open.
  grpc::Status at_end = grpc::Status::OK;  // After the half-close.
};

class FakeAttention : public attention::v1::AttentionService::Service {
 public:
  using AttendHandler = std::function<grpc::Status(
      grpc::ServerContext*, const attention::v1::AttendRequest&, attention::v1::AttendResponse*)>;
  // Default: EchoQuery.
  AttendHandler attend;
  attention::v1::ExplainRequest explained;  // The last one.
  attention::v1::ExplainResponse explanation;
  attention::v1::ListBackendsResponse backends;
  std::string authorization;  // That the last ListBackends carried.
  ScopeBehaviour scope;
  EventLog log;

  FakeAttention();

  grpc::Status Attend(grpc::ServerContext* context, const attention::v1::AttendRequest* request,
                      attention::v1::AttendResponse* response) override;
  grpc::Status Explain(grpc::ServerContext* context, const attention::v1::ExplainRequest* request,
                       attention::v1::ExplainResponse* response) override;
  grpc::Status ListBackends(grpc::ServerContext* context,
                            const attention::v1::ListBackendsRequest* request,
                            attention::v1::ListBackendsResponse* response) override;
  grpc::Status HoldScope(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<attention::v1::HoldScopeResponse, attention::v1::HoldScopeRequest>*
          stream) override;
};

// Answers with q as `out`, zeros as `lse` where wanted; selection: `requested` = the call's
// backend, served by it or by `flash`; metrics with distinct numbers.
grpc::Status EchoQuery(grpc::ServerContext* context, const attention::v1::AttendRequest& request,
                       attention::v1::AttendResponse* response);

class FakeAdmin : public attention::v1::AdminService::Service {
 public:
  std::string forced;
  std::string log_level = "info";
  std::string authorization;  // That the last GetPolicy, SetLogLevel or HoldProcessScope carried.
  grpc::Status status;        // Of every unary call.
  int calls = 0;
  attention::v1::GetPolicyResponse policy;
  ScopeBehaviour scope;
  EventLog log;

  grpc::Status GetPolicy(grpc::ServerContext* context,
                         const attention::v1::GetPolicyRequest* request,
                         attention::v1::GetPolicyResponse* response) override;
  grpc::Status SetForcedOverride(grpc::ServerContext* context,
                                 const attention::v1::SetForcedOverrideRequest* request,
                                 attention::v1::SetForcedOverrideResponse* response) override;
  grpc::Status ClearForcedOverride(grpc::ServerContext* context,
                                   const attention::v1::ClearForcedOverrideRequest* request,
                                   attention::v1::ClearForcedOverrideResponse* response) override;
  grpc::Status HoldProcessScope(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<attention::v1::HoldScopeResponse, attention::v1::HoldScopeRequest>*
          stream) override;
  grpc::Status QuarantineBackend(grpc::ServerContext* context,
                                 const attention::v1::QuarantineBackendRequest* request,
                                 attention::v1::QuarantineBackendResponse* response) override;
  grpc::Status ReleaseBackend(grpc::ServerContext* context,
                              const attention::v1::ReleaseBackendRequest* request,
                              attention::v1::ReleaseBackendResponse* response) override;
  grpc::Status SetLogLevel(grpc::ServerContext* context,
                           const attention::v1::SetLogLevelRequest* request,
                           attention::v1::SetLogLevelResponse* response) override;
};

// Serves on a free port of the loopback, and a Unix socket, while it lives; with the standard
// health service. The services outlive it.
class FakeServer {
 public:
  explicit FakeServer(const std::vector<grpc::Service*>& services);
  ~FakeServer();

  const std::string& tcp() const { return tcp_; }
  const std::string& unix_socket() const { return unix_; }
  void SetHealth(const std::string& service, bool serving);

  // A client of this server; `options` without its address.
  std::unique_ptr<AttentionClient> Connect(ClientOptions options = {}) const;

 private:
  std::string tcp_;
  std::string unix_;
  std::unique_ptr<grpc::Server> server_;
};

// `127.0.0.1:PORT` where nobody listens.
std::string ClosedAddress();

}  // namespace attn

#endif  // ATTN_TESTS_CLIENT_FAKE_SERVER_H_
