#include "client/server_address.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "kernels/core/nearest_name.h"

namespace attn {
namespace {

// sizeof(sockaddr_un::sun_path) less its terminating zero.
constexpr size_t kMaxSocketPathBytes = 107;

bool IsPort(absl::string_view text) {
  int port = 0;
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit) &&
         absl::SimpleAtoi(text, &port) && port >= 1 && port <= 65535;
}

bool IsHost(absl::string_view text) {
  if (absl::StartsWith(text, "[") && absl::EndsWith(text, "]")) return text.size() > 2;
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_';
  });
}

}  // namespace

absl::Status CheckServerAddress(absl::string_view text) {
  absl::string_view path = text;
  if (absl::ConsumePrefix(&path, "unix:")) {
    if (!path.empty() && path.size() <= kMaxSocketPathBytes) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("the socket path of ", Quoted(text), " has ",
                                                   path.size(), " bytes; allowed: 1 to ",
                                                   kMaxSocketPathBytes));
  }
  const size_t colon = text.rfind(':');
  if (colon != absl::string_view::npos && IsHost(text.substr(0, colon)) &&
      IsPort(text.substr(colon + 1))) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      Quoted(text), " is not an address; allowed: host:port, [ipv6]:port or unix:PATH"));
}

}  // namespace attn
