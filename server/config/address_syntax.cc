#include "server/config/address_syntax.h"

#include <arpa/inet.h>

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

absl::Status Refuse(absl::string_view address, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("address ", Quoted(address), ": ", why));
}

absl::Status CheckPort(absl::string_view address, absl::string_view port) {
  int number = 0;
  const bool digits = !port.empty() && std::all_of(port.begin(), port.end(), absl::ascii_isdigit);
  if (!digits || !absl::SimpleAtoi(port, &number) || number > 65535) {
    return Refuse(address, absl::StrCat("port ", Quoted(port), ", allowed: 0 to 65535 (0 = any)"));
  }
  return absl::OkStatus();
}

absl::Status CheckHost(absl::string_view address, absl::string_view host) {
  if (host.empty()) {
    return Refuse(address, "no host; 0.0.0.0 or [::] listens on every interface");
  }
  if (absl::ConsumePrefix(&host, "[")) {
    in6_addr parsed;
    // A zone (fe80::1%eth0) is the resolver's to check.
    const std::string bare(host.substr(0, host.find_first_of("%]")));
    if (!absl::EndsWith(host, "]") || inet_pton(AF_INET6, bare.c_str(), &parsed) != 1) {
      return Refuse(address, absl::StrCat(Quoted(bare), " is no IPv6 address"));
    }
    return absl::OkStatus();
  }
  if (host.find_first_not_of("0123456789abcdefABCDEF:.") == absl::string_view::npos &&
      absl::StrContains(host, ':')) {
    return Refuse(address, "an IPv6 address stands in brackets: [::1]:8601");
  }
  const bool plain = std::all_of(host.begin(), host.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_';
  });
  if (!plain)
    return Refuse(address, absl::StrCat("host ", Quoted(host), " is no name and no IP address"));
  return absl::OkStatus();
}

absl::Status CheckHostAndPort(absl::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos || absl::EndsWith(address, "]")) {
    return Refuse(address, "no port, expected host:port");
  }
  ATTN_RETURN_IF_ERROR(CheckHost(address, address.substr(0, colon)));
  return CheckPort(address, address.substr(colon + 1));
}

}  // namespace

absl::Status CheckListenAddress(absl::string_view address) {
  absl::string_view path = address;
  if (!absl::ConsumePrefix(&path, kUnixPrefix)) return CheckHostAndPort(address);
  if (path.empty()) return Refuse(address, "no path, expected unix:PATH");
  if (path.size() > kMaxSocketPathBytes) {
    return Refuse(address, absl::StrCat("path of ", path.size(), " bytes, allowed: 1 to ",
                                        kMaxSocketPathBytes));
  }
  if (absl::StrContains(path, '\0')) return Refuse(address, "a zero byte in the path");
  return absl::OkStatus();
}

absl::Status CheckMetricsAddress(absl::string_view address) {
  ATTN_RETURN_IF_ERROR(CheckHostAndPort(address));
  const std::string host(address.substr(0, address.rfind(':')));
  in_addr ipv4;
  const bool numeric = absl::StartsWith(host, "[") || inet_pton(AF_INET, host.c_str(), &ipv4) == 1;
  if (numeric && !absl::StrContains(host, '%')) return absl::OkStatus();
  if (host == "localhost") return absl::OkStatus();
  return Refuse(address, absl::StrCat("host ", Quoted(host),
                                      ", allowed: an IPv4 address, an IPv6 address in brackets "
                                      "without a zone, or localhost; the metrics endpoint resolves "
                                      "no names"));
}

}  // namespace attn
