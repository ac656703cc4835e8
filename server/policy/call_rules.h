// What a call and the policy say before any backend is looked at: the choices of rules 1 to 5 and
// the call's restrictions. Of selection.cc only.
#ifndef ATTN_SERVER_POLICY_CALL_RULES_H_
#define ATTN_SERVER_POLICY_CALL_RULES_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/core/options.h"
#include "server/policy/backend_names.h"
#include "server/policy/policy_state.h"
#include "server/policy/preset_table.h"
#include "server/policy/selection.h"

namespace attn {

// What one rule says. The default is rule 6.
struct RuleChoice {
  Rule rule = Rule::kAutomatic;
  std::string requested;
  ResolvedName name = {std::string(kAutoBackend), {}};
  std::string scope_id;
  // Not OK: the call named a backend that is known and never served; `name` is then the call's.
  absl::Status never_served;

  bool automatic() const { return name.canonical == kAutoBackend; }
};

struct CallRules {
  std::vector<RuleChoice> choices;  // In the order of the rules; those that name a backend.
  const Preset* preset = nullptr;   // Lives as long as the snapshot.
  // Canonical name -> options that its alias fixes. Empty = all are allowed.
  std::map<std::string, OptionMap, std::less<>> allowed;

  bool Allows(absl::string_view canonical) const {
    return allowed.empty() || allowed.find(canonical) != allowed.end();
  }
};

// Everything that is wrong with the call whichever rule decides is an error here.
absl::StatusOr<CallRules> ReadCallRules(const PolicySnapshot& policy,
                                        const SelectionRequest& request);

}  // namespace attn

#endif  // ATTN_SERVER_POLICY_CALL_RULES_H_
