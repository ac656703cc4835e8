#include "server/policy/call_rules.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

absl::Status ReadScope(const PolicySnapshot& policy, const SelectionRequest& request,
                       CallRules* rules) {
  const auto is_callers = [&request](const Scope& scope) {
    return scope.kind == ScopeKind::kCalls && scope.id == request.scope_id;
  };
  const std::vector<Scope>& scopes = policy.scopes;
  if (!request.scope_id.empty() && std::none_of(scopes.begin(), scopes.end(), is_callers)) {
    return absl::NotFoundError(
        absl::StrCat("scope ", Quoted(request.scope_id), " is unknown or has ended"));
  }
  const auto innermost = std::find_if(scopes.rbegin(), scopes.rend(), [&](const Scope& scope) {
    return scope.kind == ScopeKind::kProcess || is_callers(scope);
  });
  if (innermost == scopes.rend()) return absl::OkStatus();
  // The id of a process scope is its holder's business, not the caller's.
  const bool callers = innermost->kind == ScopeKind::kCalls;
  rules->choices.push_back(
      {Rule::kScope, innermost->requested, innermost->backend, callers ? innermost->id : ""});
  return absl::OkStatus();
}

absl::Status ReadBackend(const PolicySnapshot& policy, const SelectionRequest& request,
                         CallRules* rules) {
  if (request.backend.empty()) return absl::OkStatus();
  RuleChoice choice{Rule::kCall, request.backend, {request.backend, {}}};
  absl::StatusOr<ResolvedName> name = ResolveBackendName(request.backend, *policy.own_backends);
  if (name.ok()) {
    choice.name = *std::move(name);
  } else if (absl::IsUnimplemented(name.status())) {
    choice.never_served = name.status();
  } else {
    return name.status();
  }
  rules->choices.push_back(std::move(choice));
  return absl::OkStatus();
}

absl::Status ReadPreset(const PolicySnapshot& policy, const SelectionRequest& request,
                        CallRules* rules) {
  if (request.model.empty()) {
    if (request.preset.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("preset ", Quoted(request.preset),
                                                   " is given without the model that it is of"));
  }
  ATTN_ASSIGN_OR_RETURN(rules->preset, policy.presets->Find(request.model, request.preset));
  const std::string& backend = rules->preset->backend;
  rules->choices.push_back({Rule::kPreset, backend, {backend, {}}});
  return absl::OkStatus();
}

absl::Status ReadAllowed(const PolicySnapshot& policy, const SelectionRequest& request,
                         CallRules* rules) {
  for (const std::string& requested : request.allowed_backends) {
    absl::StatusOr<ResolvedName> name = ResolveBackendName(requested, *policy.own_backends);
    if (!name.ok()) {
      return absl::Status(name.status().code(),
                          absl::StrCat("allowed_backends: ", name.status().message()));
    }
    if (name->canonical == kAutoBackend) {
      return absl::InvalidArgumentError(
          "allowed_backends: 'auto' names no backend; leave the list empty to allow all");
    }
    if (!rules->allowed.emplace(name->canonical, std::move(name->options)).second) {
      return absl::InvalidArgumentError(absl::StrCat("allowed_backends: ", Quoted(requested),
                                                     " is '", name->canonical,
                                                     "', which the list has already"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CallRules> ReadCallRules(const PolicySnapshot& policy,
                                        const SelectionRequest& request) {
  CallRules rules;
  const auto add = [&rules](Rule rule, const std::optional<NamedChoice>& choice) {
    if (choice) rules.choices.push_back({rule, choice->requested, choice->backend});
  };
  ATTN_RETURN_IF_ERROR(ReadScope(policy, request, &rules));
  add(Rule::kForced, policy.forced);
  ATTN_RETURN_IF_ERROR(ReadBackend(policy, request, &rules));
  add(Rule::kEnvironment, policy.environment);
  ATTN_RETURN_IF_ERROR(ReadPreset(policy, request, &rules));
  ATTN_RETURN_IF_ERROR(ReadAllowed(policy, request, &rules));
  return rules;
}

}  // namespace attn
