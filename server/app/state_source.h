// The state of the server's parts as metrics show it.
#ifndef ATTN_SERVER_APP_STATE_SOURCE_H_
#define ATTN_SERVER_APP_STATE_SOURCE_H_

#include <string>

#include "kernels/core/registry.h"
#include "server/app/reload.h"
#include "server/policy/policy_state.h"
#include "server/services/server.h"
#include "server/telemetry/server_log.h"
#include "server/telemetry/server_state.h"

namespace attn {

// What they point to outlives the source.
struct StateParts {
  const Registry* registry = nullptr;
  const PolicyState* policy = nullptr;
  const Server* server = nullptr;
  const Reloader* reloader = nullptr;
  const ServerLog* log = nullptr;
  std::string cpu_isa;  // Of the CPU engine, by name.
};

ServerStateSource StateSource(const StateParts& parts);

}  // namespace attn

#endif  // ATTN_SERVER_APP_STATE_SOURCE_H_
