// The version of attnd, from the build.
#ifndef ATTN_SERVER_APP_VERSION_H_
#define ATTN_SERVER_APP_VERSION_H_

#include "absl/strings/string_view.h"

namespace attn {

inline constexpr absl::string_view kVersion = ATTN_VERSION;

}  // namespace attn

#endif  // ATTN_SERVER_APP_VERSION_H_
