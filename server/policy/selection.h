// Which backend serves a call, and why: a pure function of policy, backends and problem.
//
// The first rule that names a backend decides: scoped override, forced override, the call, the
// environment, the preset of the call's model, automatic.
#ifndef ATTN_SERVER_POLICY_SELECTION_H_
#define ATTN_SERVER_POLICY_SELECTION_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/core/attention_problem.h"
#include "kernels/core/options.h"
#include "kernels/core/registry.h"
#include "server/policy/policy_state.h"

namespace attn {

// Numbered as on the wire.
enum class Rule : uint8_t {
  kScope = 1,
  kForced = 2,
  kCall = 3,
  kEnvironment = 4,
  kPreset = 5,
  kAutomatic = 6,
};

// `scope`, `forced`, `call`, `environment`, `preset`, `automatic`.
std::string_view Name(Rule rule);

// What a call says about its own selection.
struct SelectionRequest {
  std::string backend;  // Empty = not named.
  std::string model;
  std::string preset;
  std::string scope_id;
  std::vector<std::string> allowed_backends;  // Empty = all.
  OptionMap options;                          // The call's own.
  bool allow_fallback = false;
  bool allow_approximate = false;
};

// A backend that was not chosen.
struct Refusal {
  std::string backend;           // Canonical.
  Rule rule = Rule::kAutomatic;  // That named it.
  std::string reason;
};

struct Selection {
  const Backend* backend = nullptr;  // Never null in an OK result.
  Rule rule = Rule::kAutomatic;
  std::string requested;  // The name as the rule gave it; empty for kAutomatic.
  std::string scope_id;   // Of a CALLS scope that decided.
  std::string preset;     // `model/preset` whose options were applied.
  OptionMap options;      // Preset, alias and call merged in this order, later ones winning.
  std::vector<Refusal> refused;
};

// How the refusals are worded and coded:
//   - a named backend that cannot serve the call: its own status code (UNIMPLEMENTED for a
//     problem that does not fit or a backend that is not in this build, INVALID_ARGUMENT for an
//     option, UNAVAILABLE for a missing device, FAILED_PRECONDITION for quarantine), unless the
//     call allows a fallback;
//   - nothing left: INVALID_ARGUMENT if every reason is, else UNIMPLEMENTED with all reasons.
// NOT_FOUND for an unknown or ended scope, model or preset; INVALID_ARGUMENT for unknown names.
// After a fallback, options of the call that the chosen backend does not declare are left out
// and named in the refusal's reason; otherwise they are an error.
absl::StatusOr<Selection> Select(const PolicySnapshot& policy, const Registry& registry,
                                 const SelectionRequest& request, const AttentionProblem& problem);

// The same answer for people: on success `refused` names every other backend with its reason, also
// those that automatic selection would only have tried later.
absl::StatusOr<Selection> Explain(const PolicySnapshot& policy, const Registry& registry,
                                  const SelectionRequest& request, const AttentionProblem& problem);

}  // namespace attn

#endif  // ATTN_SERVER_POLICY_SELECTION_H_
