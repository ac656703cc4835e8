// Which backend serves a call, and why: a pure function of policy, backends and problem.
//
// The first rule that names a backend decides: scoped override, forced override, the call, the
// environment, the preset of the call's model, automatic. A rule that names `auto` has decided too:
// automatic selection picks, and the answer still says which rule asked for it.
#ifndef ATTN_SERVER_POLICY_SELECTION_H_
#define ATTN_SERVER_POLICY_SELECTION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
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
absl::string_view Name(Rule rule);

// OK if a process-wide choice of `backend` could ever serve: `auto`, or a name whose backend the
// registry has. UNIMPLEMENTED for one that is not in this build, else ResolveBackendName's error.
absl::Status CheckInBuild(absl::string_view backend, const Registry& registry);

// What a call says about its own selection.
struct SelectionRequest {
  std::string backend;  // Empty = not named.
  std::string model;
  std::string preset;
  std::string scope_id;
  // Restricts what automatic selection and fallbacks may use, not what the first rule names; empty
  // = all. Options that an alias fixes apply where automatic selection picks that backend.
  std::vector<std::string> allowed_backends;
  OptionMap options;  // The call's own.
  bool allow_fallback = false;
  bool allow_approximate = false;
};

// A backend that was not chosen.
struct Refusal {
  std::string backend;           // Canonical; as the call spelled it if it is never served.
  Rule rule = Rule::kAutomatic;  // That named it.
  std::string reason;
};

struct Selection {
  const Backend* backend = nullptr;  // Never null in an OK result of Select.
  Rule rule = Rule::kAutomatic;      // That decided; kAutomatic only where no rule named `auto`.
  std::string requested;             // The name as the rule gave it; empty for kAutomatic.
  std::string scope_id;              // Of a CALLS scope that decided.
  std::string preset;  // `model/preset` if its backend is the chosen one; its options apply.
  OptionMap options;   // Preset, alias and call merged in this order, later ones winning.
  std::vector<Refusal> refused;
};

// How the refusals are worded and coded:
//   - a named backend that cannot serve the call: an error with every reason and the code of the
//     first (UNIMPLEMENTED for a backend that is not in this build or a problem that does not fit,
//     UNAVAILABLE for a missing device, FAILED_PRECONDITION for quarantine, INVALID_ARGUMENT for an
//     option), unless the call allows a fallback; the text ends with the backends that could serve
//     it, but for INVALID_ARGUMENT;
//   - nothing left: INVALID_ARGUMENT if every backend that was tried refused with it, else
//     UNIMPLEMENTED; with all reasons either way.
// NOT_FOUND for an unknown or ended scope, model or preset and INVALID_ARGUMENT for unknown names,
// whichever rule would have decided.
//
// Options of the call that the chosen backend does not declare are left out if they were meant for
// another one: a backend that was refused before a fallback, or the backend that the call names
// where a scope or the forced override displaced it, which declares them, or may (it is not in this
// build). `refused` names them. In every other case an undeclared option is an error.
absl::StatusOr<Selection> Select(const PolicySnapshot& policy, const Registry& registry,
                                 const SelectionRequest& request, const AttentionProblem& problem);

// Why a call runs where it runs, or nowhere.
struct Explanation {
  absl::Status status;  // That of Select.
  // Its `refused` names every backend that was not chosen, of the registry and of the canonical
  // names that are not in this build, also those that were not tried ("could serve" those that
  // would have served). Where status is not OK the backend is null and all else but `refused`
  // unset; where the call itself is wrong, whichever rule decides, no backend was tried and each
  // reason says so.
  Selection selection;
};

// The same answer as Select's, for people.
Explanation Explain(const PolicySnapshot& policy, const Registry& registry,
                    const SelectionRequest& request, const AttentionProblem& problem);

}  // namespace attn

#endif  // ATTN_SERVER_POLICY_SELECTION_H_
