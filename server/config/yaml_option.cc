#include "server/config/yaml_option.h"

#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/core/limits.h"
#include "kernels/core/nearest_name.h"

namespace attn {
namespace {

// Reads one value and what is in it. Adds one mistake, and returns nothing, for the first that does
// not fit.
class OptionReader {
 public:
  OptionReader(absl::string_view place, YamlMistakes* mistakes)
      : place_(place), mistakes_(mistakes) {}

  std::optional<OptionValue> Read(const YamlNode& node, int depth) {
    switch (node.kind) {
      case YamlNode::Kind::kNull:
        return Refuse(node, "has no value");
      case YamlNode::Kind::kScalar:
        return ReadScalar(node);
      case YamlNode::Kind::kSequence:
        return ReadList(node, depth);
      case YamlNode::Kind::kMapping:
        return ReadTensorName(node);
    }
    return std::nullopt;
  }

 private:
  std::optional<OptionValue> Refuse(const YamlNode& node, absl::string_view what) {
    mistakes_->Add(node.line, absl::StrCat(place_, ": ", what));
    return std::nullopt;
  }

  std::optional<OptionValue> ReadScalar(const YamlNode& node) {
    const std::string& text = node.text;
    if (node.quoted) return OptionValue{text};
    if (text == "true" || text == "false") return OptionValue{text == "true"};
    // Only what is written in digits is a number: words such as `nan` are text.
    if (text.find_first_of("0123456789") == std::string::npos ||
        text.find_first_not_of("0123456789+-.eE") != std::string::npos) {
      return OptionValue{text};
    }
    if (text.find_first_of(".eE") == std::string::npos) {
      if (text.find_first_of("+-", 1) != std::string::npos) return OptionValue{text};
      int64_t integer = 0;
      if (absl::SimpleAtoi(text, &integer)) return OptionValue{integer};
      return Refuse(node, absl::StrCat(Quoted(text), " does not fit a 64-bit integer"));
    }
    double number = 0;
    if (!absl::SimpleAtod(text, &number)) return OptionValue{text};
    if (std::isfinite(number)) return OptionValue{number};
    return Refuse(node, absl::StrCat(Quoted(text), " does not fit a 64-bit float"));
  }

  std::optional<OptionValue> ReadList(const YamlNode& node, int depth) {
    if (depth == kMaxOptionDepth) {
      return Refuse(node, absl::StrCat("lists nested deeper than ", kMaxOptionDepth));
    }
    OptionList list;
    for (const auto& item : node.items) {
      std::optional<OptionValue> value = Read(*item, depth + 1);
      if (!value.has_value()) return std::nullopt;
      list.push_back(*std::move(value));
    }
    return OptionValue{std::move(list)};
  }

  std::optional<OptionValue> ReadTensorName(const YamlNode& node) {
    if (node.fields.size() != 1 || node.fields[0].key != "tensor" ||
        node.fields[0].value->kind != YamlNode::Kind::kScalar) {
      return Refuse(node, "a mapping here can only be {tensor: NAME}");
    }
    return OptionValue{TensorName{node.fields[0].value->text}};
  }

  const absl::string_view place_;
  YamlMistakes* const mistakes_;
};

}  // namespace

OptionMap ReadOptions(const YamlNode& node, const std::string& place, YamlMistakes* mistakes) {
  OptionMap options;
  const YamlMapping mapping(node, place, mistakes);
  for (const YamlNode::Field& field : node.fields) {
    const std::string option_place = mapping.PlaceOf(field.key);
    std::optional<OptionValue> value = OptionReader(option_place, mistakes).Read(*field.value, 0);
    if (value.has_value()) options.emplace(field.key, *std::move(value));
  }
  return options;
}

}  // namespace attn
