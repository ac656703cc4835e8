#include "server/config/environment_names.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernels/core/nearest_name.h"
#include "server/config/config_keys.h"

namespace attn {
namespace {

// The server's beside its options, then the client's, then the tests'.
constexpr absl::string_view kOthers[] = {"ATTN_BACKEND",        "ATTN_CONFIG",
                                         "ATTN_SERVER",         "ATTN_ADMIN_SERVER",
                                         "ATTN_SCOPE",          "ATTN_TLS",
                                         "ATTN_TLS_CA",         "ATTN_TLS_CLIENT_CERTIFICATE",
                                         "ATTN_TLS_CLIENT_KEY", "ATTN_TLS_SERVER_NAME",
                                         "ATTN_TOKEN_FILE",     "ATTN_GOLDEN_DIR"};

// Kubernetes describes every Service of a namespace: ATTN_SERVICE_HOST, ATTN_SERVICE_PORT_GRPC,
// ATTN_PORT, ATTN_PORT_8601_TCP_ADDR, ...
bool IsServiceLink(absl::string_view name) {
  if (absl::EndsWith(name, "_SERVICE_HOST") || absl::StrContains(name, "_SERVICE_PORT") ||
      absl::EndsWith(name, "_PORT")) {
    return true;
  }
  const size_t port = name.find("_PORT_");
  return port != absl::string_view::npos && port + 6 < name.size() &&
         absl::ascii_isdigit(static_cast<unsigned char>(name[port + 6]));
}

}  // namespace

std::string UnknownVariableWarning(absl::string_view name) {
  if (std::find(std::begin(kOthers), std::end(kOthers), name) != std::end(kOthers) ||
      IsServiceLink(name)) {
    return "";
  }
  std::vector<std::string> known(std::begin(kOthers), std::end(kOthers));
  for (const ConfigKey& key : ConfigKeys()) known.push_back(VariableOf(key));
  const std::string nearest = NearestName(name, known);
  return absl::StrCat("variable ", Quoted(name), " is no option and has no effect",
                      nearest.empty() ? "; attnd --help lists the options"
                                      : absl::StrCat("; did you mean '", nearest, "'?"));
}

}  // namespace attn
