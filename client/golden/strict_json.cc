#include "client/golden/strict_json.h"

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/core/nearest_name.h"

namespace attn {

absl::StatusOr<nlohmann::json> ParseStrictJson(absl::string_view what, absl::string_view text) {
  std::vector<std::set<std::string>> keys;  // Of the objects that are open.
  std::string refused;
  const nlohmann::json::parser_callback_t watch =
      [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& value) {
        if (depth > kMaxJsonDepth) {
          refused = absl::StrCat("nested deeper than ", kMaxJsonDepth);
          return false;
        }
        if (event == nlohmann::json::parse_event_t::object_start) {
          keys.emplace_back();
        } else if (event == nlohmann::json::parse_event_t::object_end) {
          keys.pop_back();
        } else if (event == nlohmann::json::parse_event_t::key &&
                   !keys.back().insert(value.get_ref<const std::string&>()).second) {
          refused = absl::StrCat("key ", Quoted(value.get_ref<const std::string&>()),
                                 " stands twice in one object");
        }
        return true;
      };
  nlohmann::json parsed =
      nlohmann::json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  if (!refused.empty()) return absl::InvalidArgumentError(absl::StrCat(what, ": ", refused));
  if (parsed.is_discarded()) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": not well-formed JSON"));
  }
  return parsed;
}

}  // namespace attn
