// Where a server is, as people write it: `host:port`, `[ipv6]:port` or `unix:PATH`.
#ifndef ATTN_CLIENT_SERVER_ADDRESS_H_
#define ATTN_CLIENT_SERVER_ADDRESS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace attn {

// INVALID_ARGUMENT if `text` is none of the forms; the caller says where it came from. Looks
// nothing up.
absl::Status CheckServerAddress(absl::string_view text);

}  // namespace attn

#endif  // ATTN_CLIENT_SERVER_ADDRESS_H_
