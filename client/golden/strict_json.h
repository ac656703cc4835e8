// JSON without surprises: no exceptions, no duplicate keys, bounded nesting.
#ifndef ATTN_CLIENT_GOLDEN_STRICT_JSON_H_
#define ATTN_CLIENT_GOLDEN_STRICT_JSON_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace attn {

// Deepest nesting of a header or case; mask expressions, the deepest, have less than 10.
inline constexpr int kMaxJsonDepth = 64;

// INVALID_ARGUMENT names `what`, and the key that stands twice.
absl::StatusOr<nlohmann::json> ParseStrictJson(absl::string_view what, absl::string_view text);

}  // namespace attn

#endif  // ATTN_CLIENT_GOLDEN_STRICT_JSON_H_
