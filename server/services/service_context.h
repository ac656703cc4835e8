// What the services share. All of it outlives the gRPC server.
#ifndef ATTN_SERVER_SERVICES_SERVICE_CONTEXT_H_
#define ATTN_SERVER_SERVICES_SERVICE_CONTEXT_H_

#include <functional>
#include <initializer_list>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/core/buffer_pool.h"
#include "kernels/core/registry.h"
#include "server/executor/call_observer.h"
#include "server/executor/executor.h"
#include "server/policy/policy_state.h"
#include "server/services/backend_faults.h"
#include "server/services/reply_ledger.h"

namespace attn {

struct ServiceContext {
  const Registry* registry = nullptr;
  PolicyState* policy = nullptr;
  Executor* executor = nullptr;
  BufferPool* buffers = nullptr;
  BackendFaults* faults = nullptr;
  ReplyLedger* replies = nullptr;
  CallObserver* observer = nullptr;
  // Sets the log's level by name and returns the previous one's; INVALID_ARGUMENT for another name.
  std::function<absl::StatusOr<std::string>(const std::string&)> set_log_level = nullptr;
  // Of this server, as `--version` prints it; ListBackends says it.
  std::string version;
  // Told what an operator has changed through the admin service: a message and its fields, of names
  // and texts that were found good. Null = nobody is told.
  using Fields = std::initializer_list<std::pair<absl::string_view, std::string>>;
  std::function<void(absl::string_view message, Fields fields)> on_policy_change = nullptr;
};

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_SERVICE_CONTEXT_H_
