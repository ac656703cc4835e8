// The C++ client of attnd.
//
//   auto client = attn::AttentionClient::Create({.server = "localhost:8601"});
//   attn::AttendArguments call;
//   call.tensors = {{.name = "q", .dtype = attn::DType::kBFloat16, .shape = {1, 8, 128, 64},
//                    .data = std::as_bytes(q)}, ...};  // q is a span
//   absl::StatusOr<attn::AttendResult> result = (*client)->Attend(call, {.timeout = ...});
//
// Payloads are sent from the caller's memory by reference and copied once on arrival.
#ifndef ATTN_CLIENT_ATTENTION_CLIENT_H_
#define ATTN_CLIENT_ATTENTION_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "kernels/core/buffer_pool.h"
#include "kernels/core/dtype.h"
#include "proto/attention/v1/admin.pb.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn {

// TLS towards TCP servers; Unix sockets go without. Any of the fields turns it on, and so does
// ATTN_TLS=1.
struct ClientTls {
  bool enabled = false;
  // PEM file of the authorities that are trusted. Empty = ATTN_TLS_CA, else the system's.
  std::string ca;
  // PEM files that prove who calls, to a server that asks (mutual TLS). Empty =
  // ATTN_TLS_CLIENT_CERTIFICATE and ATTN_TLS_CLIENT_KEY, else none.
  std::string certificate;
  std::string key;
  // Name that the server's certificate must bear. Empty = ATTN_TLS_SERVER_NAME, else the host of
  // the server's address.
  std::string server_name;
};

inline constexpr char kDefaultServer[] = "localhost:8601";
inline constexpr int kMaxConnections = 1024;

struct ClientOptions {
  // `host:port` or `unix:PATH`. Empty = ATTN_SERVER, else kDefaultServer.
  std::string server;
  // For admin calls. Empty = ATTN_ADMIN_SERVER, else the same server.
  std::string admin_server;
  // Parallel connections, used in turn; one connection cannot fill a fast link. 1 to
  // kMaxConnections.
  int connections = 1;
  // Extra attempts of a call that the server never began (UNAVAILABLE before any reply), with
  // exponential back-off within the call's timeout. Attend has no side effect, so this is safe.
  int max_retries = 2;
  // Of every call but Attend, whose own stands in CallOptions; zero or negative = none.
  absl::Duration control_timeout = absl::Seconds(30);
  ClientTls tls;
  // Sent with admin calls alone, and as secret as their connection is. Empty = what the file holds
  // that ATTN_TOKEN_FILE names, else none.
  std::string admin_token;
};

// A tensor to send. Borrows `data` until the call has returned.
struct ClientTensor {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;
  std::string pattern;  // Empty = the default (attention.proto).
  int64_t heads = 0;    // Where the pattern joins the head axis with another.
  std::span<const std::byte> data;
};

// A tensor that was received; owns its memory, 64-byte aligned.
struct ReceivedTensor {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;
  std::string pattern;
  int64_t heads = 0;
  BufferPool::Lease data;
};

struct AttendArguments {
  // Everything but the tensors. An empty scope_id is filled from ATTN_SCOPE, if that is set.
  attention::v1::AttendRequest request;
  std::vector<ClientTensor> tensors;
};

struct AttendResult {
  attention::v1::Selection selection;
  attention::v1::CallMetrics metrics;
  std::vector<ReceivedTensor> outputs;
  // Seen from here: from the call of Attend to its return, and the part of it spent copying.
  absl::Duration client_total;
  absl::Duration client_decode;

  // nullptr if the response has no such tensor.
  const ReceivedTensor* Find(absl::string_view name) const;
};

struct CallOptions {
  // Zero or negative = none. A server that stops reading in the middle of a payload is waited for
  // beyond it: 20 seconds over TCP, and as long as it lives over a Unix socket.
  absl::Duration timeout = absl::Seconds(300);
  // A request to stop cancels the call: CANCELLED.
  std::stop_token cancel = {};
};

// A scope held open; destruction ends it.
class HeldScope {
 public:
  virtual ~HeldScope() = default;
  virtual const std::string& id() const = 0;
  // Ends the scope and returns once the server has confirmed that what was in force before is in
  // force again; or why the scope had already ended (DEADLINE_EXCEEDED: its time-to-live).
  virtual absl::Status End() = 0;
  // True once the server or a lost connection has ended it; End then says why.
  virtual bool ended() const = 0;
};

// True for an error of a client whose server could not be reached, or was lost before it answered.
bool IsUnreachable(const absl::Status& status);

// How long the server asks to wait before the call is made again (RESOURCE_EXHAUSTED), if it does.
std::optional<absl::Duration> RetryHint(const absl::Status& status);

// Thread-safe; calls block their thread. Errors are the server's status, with the server's address
// added to connection errors.
class AttentionClient {
 public:
  // INVALID_ARGUMENT for an address that is none, FAILED_PRECONDITION for a file of TLS or of the
  // token that cannot be used. Does not connect yet.
  static absl::StatusOr<std::unique_ptr<AttentionClient>> Create(const ClientOptions& options);
  virtual ~AttentionClient() = default;

  virtual absl::StatusOr<AttendResult> Attend(const AttendArguments& arguments,
                                              const CallOptions& options) = 0;
  virtual absl::StatusOr<attention::v1::ExplainResponse> Explain(
      const attention::v1::ExplainRequest& request) = 0;
  virtual absl::StatusOr<attention::v1::ListBackendsResponse> ListBackends() = 0;

  // Opens a scope over this caller's calls, or over the whole process.
  virtual absl::StatusOr<std::unique_ptr<HeldScope>> HoldScope(
      const attention::v1::HoldScopeRequest& request, bool process) = 0;

  virtual absl::StatusOr<attention::v1::GetPolicyResponse> GetPolicy() = 0;
  virtual absl::StatusOr<std::string> SetForcedOverride(const std::string& backend) = 0;
  virtual absl::StatusOr<std::string> ClearForcedOverride() = 0;
  virtual absl::StatusOr<std::string> QuarantineBackend(const std::string& backend,
                                                        const std::string& reason) = 0;
  virtual absl::StatusOr<std::string> ReleaseBackend(const std::string& backend) = 0;
  // Returns the level before.
  virtual absl::StatusOr<std::string> SetLogLevel(const std::string& level) = 0;

  // The standard health service: `SERVING`, `NOT_SERVING`; NOT_FOUND for an unknown name.
  // `liveness` and `readiness` are names; the empty one is the server as a whole.
  virtual absl::StatusOr<std::string> CheckHealth(const std::string& service) = 0;
};

}  // namespace attn

#endif  // ATTN_CLIENT_ATTENTION_CLIENT_H_
