// How an address to listen on is written. Whether it can be had is server/services' to find out.
#ifndef ATTN_SERVER_CONFIG_ADDRESS_SYNTAX_H_
#define ATTN_SERVER_CONFIG_ADDRESS_SYNTAX_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace attn {

// Begins the address of a Unix socket; its path follows.
inline constexpr absl::string_view kUnixPrefix = "unix:";

// Stands where the address of the metrics endpoint would.
inline constexpr absl::string_view kNoMetrics = "off";

// sockaddr_un holds 108 bytes, the last of them the terminating zero.
inline constexpr size_t kMaxSocketPathBytes = 107;

// INVALID_ARGUMENT says what is wrong with the address and what is allowed. Names are not resolved.
absl::Status CheckListenAddress(
    absl::string_view address);  // `host:port`, `[v6]:port`, `unix:PATH`
absl::Status CheckMetricsAddress(absl::string_view address);  // `IP:port` or `localhost:port`

}  // namespace attn

#endif  // ATTN_SERVER_CONFIG_ADDRESS_SYNTAX_H_
