#include "server/app/state_source.h"

#include <memory>

namespace attn {
namespace {

void AddPolicy(const PolicySnapshot& policy, ServerState* state) {
  for (const auto& [backend, record] : policy.quarantined) {
    state->quarantined.push_back({backend, record.automatic});
  }
  if (policy.forced) state->forced_backend = policy.forced->backend.canonical;
  for (const Scope& scope : policy.scopes) {
    ++(scope.kind == ScopeKind::kCalls ? state->call_scopes : state->process_scopes);
  }
}

ServerState StateOf(const StateParts& parts) {
  ServerState state;
  for (const Backend* backend : parts.registry->backends()) {
    state.backends.push_back(
        {backend->info().name, backend->info().device, backend->Available().ok()});
  }
  AddPolicy(*parts.policy->Snapshot(), &state);
  state.ready = parts.server->ready();
  state.draining = parts.server->draining();
  state.accepted_reloads = parts.reloader->accepted();
  state.refused_reloads = parts.reloader->refused();
  state.dropped_log_lines = parts.log->dropped_lines();
  state.cpu_isa = parts.cpu_isa;
  return state;
}

}  // namespace

ServerStateSource StateSource(const StateParts& parts) {
  return [parts] { return StateOf(parts); };
}

}  // namespace attn
