// The text form of options, one for the command line, preset files and string parameters: JSON
// with {"tensor": "name"} for tensors.
#ifndef ATTN_SERVER_TRANSPORT_OPTION_JSON_H_
#define ATTN_SERVER_TRANSPORT_OPTION_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/core/options.h"

namespace attn {

// true, 3, 0.5, "text", [1, 2], {"tensor": "name"}. A word that is not JSON is taken as a string,
// so that `mode=topk` needs no quotes on a command line. INVALID_ARGUMENT for null, other objects,
// integers beyond int64, floats beyond double, lists nested deeper than kMaxOptionDepth, and text
// that begins as JSON does ([ { ") and is not.
absl::StatusOr<OptionValue> OptionFromText(absl::string_view text);

// Reads back as the same value. Requires finite numbers; bytes that are not UTF-8 are replaced.
std::string ToJson(const OptionValue& value);

}  // namespace attn

#endif  // ATTN_SERVER_TRANSPORT_OPTION_JSON_H_
