// Every name by which a caller may ask for a backend.
//
// Canonical names are ours; aliases are the names of FastVideo, diffusers, DiffSynth and
// transformers, matched without regard to case. An alias may fix options of its backend. Backends
// from outside the tree have their own names beside these.
#ifndef ATTN_SERVER_POLICY_BACKEND_NAMES_H_
#define ATTN_SERVER_POLICY_BACKEND_NAMES_H_

#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/core/options.h"
#include "kernels/core/registry.h"

namespace attn {

// Accepted wherever a backend is named: rule 6 decides.
inline constexpr absl::string_view kAutoBackend = "auto";

struct ResolvedName {
  std::string canonical;  // Or kAutoBackend.
  OptionMap options;      // Fixed by the alias; they win over a preset's, the call's over them.
};

// INVALID_ARGUMENT with the known names if nobody knows it; UNIMPLEMENTED with the reason if it is
// known and will never be served here (NO_ATTENTION, training and NPU backends, ...). A name whose
// backend merely is not in this build resolves. `own` are OwnBackendNames of the process, where it
// has any; a name of ours comes first.
absl::StatusOr<ResolvedName> ResolveBackendName(absl::string_view name,
                                                std::span<const std::string> own = {});

// Names of the registry's backends that are not among the canonical ones, in its order.
std::vector<std::string> OwnBackendNames(const Registry& registry);

// Canonical names in their documented order.
std::span<const std::string> CanonicalBackendNames();

// Aliases of a canonical name, as their projects spell them.
std::vector<std::string> AliasesOf(absl::string_view canonical);

}  // namespace attn

#endif  // ATTN_SERVER_POLICY_BACKEND_NAMES_H_
