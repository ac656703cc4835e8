#include "server/config/yaml_mapping.h"

#include <algorithm>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "kernels/core/nearest_name.h"

namespace attn {

void YamlMistakes::Add(int line, std::string what) {
  mistakes_.emplace_back(line, std::move(what));
}

absl::Status YamlMistakes::ToStatus() const {
  if (mistakes_.empty()) return absl::OkStatus();
  auto sorted = mistakes_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  return absl::InvalidArgumentError(
      absl::StrJoin(sorted, "\n", [this](std::string* out, const auto& mistake) {
        absl::StrAppend(out, file_, ":", mistake.first, ": ", mistake.second);
      }));
}

YamlMapping::YamlMapping(const YamlNode& node, std::string place, YamlMistakes* mistakes)
    : node_(node), place_(std::move(place)), mistakes_(mistakes) {
  const bool empty_root = place_.empty() && node_.kind == YamlNode::Kind::kNull;
  if (node_.kind != YamlNode::Kind::kMapping && !empty_root) {
    mistakes_->Add(node_.line, absl::StrCat(place_, place_.empty() ? "" : ": ",
                                            "expected a mapping, here stands ", Describe(node_)));
  }
  std::map<absl::string_view, int> first_lines;
  for (const YamlNode::Field& field : node_.fields) {
    const auto [first, is_new] = first_lines.emplace(field.key, field.line);
    if (!is_new) {
      mistakes_->Add(
          field.line,
          absl::StrCat(PlaceOf(field.key), ": stands here twice, first at line ", first->second));
    }
  }
}

const YamlNode* YamlMapping::Value(absl::string_view key) {
  if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) asked_.emplace_back(key);
  const YamlNode::Field* field = Find(key);
  return field == nullptr ? nullptr : field->value.get();
}

std::optional<std::string> YamlMapping::Text(absl::string_view key) {
  const YamlNode* value = Value(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind != YamlNode::Kind::kScalar) {
    AddMistake(key, absl::StrCat("expected text, here stands ", Describe(*value)));
    return std::nullopt;
  }
  return value->text;
}

std::optional<int64_t> YamlMapping::Integer(absl::string_view key, int64_t min, int64_t max) {
  const YamlNode* value = Value(key);
  if (value == nullptr) return std::nullopt;
  int64_t number = 0;
  if (value->kind != YamlNode::Kind::kScalar || value->quoted ||
      !absl::SimpleAtoi(value->text, &number)) {
    AddMistake(key, absl::StrCat("expected an integer from ", min, " to ", max, ", here stands ",
                                 Describe(*value)));
    return std::nullopt;
  }
  if (number < min || number > max) {
    AddMistake(key, OutOfRange(number, min, max));
    return std::nullopt;
  }
  return number;
}

bool YamlMapping::Require(absl::string_view key) {
  if (Value(key) != nullptr) return true;
  AddMistake(key, "is missing");
  return false;
}

void YamlMapping::RefuseOtherKeys() const {
  for (const YamlNode::Field& field : node_.fields) {
    if (std::find(asked_.begin(), asked_.end(), field.key) != asked_.end()) continue;
    mistakes_->Add(field.line, absl::StrCat(place_, place_.empty() ? "" : ": ",
                                            UnknownNameMessage("key", field.key, asked_)));
  }
}

void YamlMapping::AddMistake(absl::string_view key, absl::string_view what) const {
  mistakes_->Add(LineOf(key), absl::StrCat(PlaceOf(key), ": ", what));
}

std::string YamlMapping::PlaceOf(absl::string_view key) const {
  return absl::StrCat(place_, place_.empty() ? "" : ".", key);
}

int YamlMapping::LineOf(absl::string_view key) const {
  const YamlNode::Field* field = Find(key);
  return field == nullptr ? node_.line : field->line;
}

const YamlNode::Field* YamlMapping::Find(absl::string_view key) const {
  const auto field = std::find_if(node_.fields.begin(), node_.fields.end(),
                                  [&](const YamlNode::Field& f) { return f.key == key; });
  return field == node_.fields.end() ? nullptr : &*field;
}

std::string OutOfRange(int64_t value, int64_t min, int64_t max) {
  return absl::StrCat(value, " is out of range, allowed: ", min, " to ", max);
}

}  // namespace attn
