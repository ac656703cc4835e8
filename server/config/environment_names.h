// Names of environment variables that begin with ATTN_ and are no option of the server.
#ifndef ATTN_SERVER_CONFIG_ENVIRONMENT_NAMES_H_
#define ATTN_SERVER_CONFIG_ENVIRONMENT_NAMES_H_

#include <string>

#include "absl/strings/string_view.h"

namespace attn {

inline constexpr absl::string_view kVariablePrefix = "ATTN_";

// Empty if the variable has a reader: the server's own beside its options, the client's and the
// tests' (a shell may export them all), and what Kubernetes sets for Services named attn-...; else
// a warning that names the nearest known variable. No error: whoever sets the environment of a pod
// may not be who starts the server.
std::string UnknownVariableWarning(absl::string_view name);

}  // namespace attn

#endif  // ATTN_SERVER_CONFIG_ENVIRONMENT_NAMES_H_
