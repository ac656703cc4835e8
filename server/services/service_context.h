// What the services share. All of it outlives the gRPC server.
#ifndef ATTN_SERVER_SERVICES_SERVICE_CONTEXT_H_
#define ATTN_SERVER_SERVICES_SERVICE_CONTEXT_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
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
};

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_SERVICE_CONTEXT_H_
