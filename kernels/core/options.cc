#include "kernels/core/options.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/core/limits.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

OptionType TypeOf(const OptionValue& value) {
  struct Visitor {
    OptionType operator()(bool) const { return OptionType::kBool; }
    OptionType operator()(int64_t) const { return OptionType::kInt; }
    OptionType operator()(double) const { return OptionType::kFloat; }
    OptionType operator()(const std::string&) const { return OptionType::kString; }
    OptionType operator()(const TensorName&) const { return OptionType::kTensor; }
    OptionType operator()(const OptionList&) const { return OptionType::kList; }
  };
  return std::visit(Visitor{}, value.value);
}

// True if lists nest at most `depth` deep.
bool NestsWithin(const OptionValue& value, int depth) {
  const auto* list = std::get_if<OptionList>(&value.value);
  if (list == nullptr) return true;
  if (depth == 0) return false;
  for (const OptionValue& element : *list) {
    if (!NestsWithin(element, depth - 1)) return false;
  }
  return true;
}

absl::Status ValidateOption(absl::string_view owner, const OptionSpec& spec,
                            const OptionValue& value) {
  const std::string prefix = absl::StrCat(owner, ": option '", spec.name, "'");
  const OptionType type = TypeOf(value);
  const bool widened = type == OptionType::kInt && spec.type == OptionType::kFloat;
  if (type != spec.type && !widened) {
    return absl::InvalidArgumentError(absl::StrCat(
        prefix, " is of type ", Name(type), ", allowed: ", Name(spec.type), ", ", spec.allowed));
  }
  if (!NestsWithin(value, kMaxOptionDepth)) {
    return absl::InvalidArgumentError(
        absl::StrCat(prefix, " nests lists more than ", kMaxOptionDepth, " deep"));
  }
  absl::Status checked;
  if (spec.check != nullptr) checked = spec.check(value);
  if (checked.ok() && spec.check_with != nullptr) checked = spec.check_with(value, spec.context);
  if (checked.ok()) return checked;
  return absl::Status(checked.code(), absl::StrCat(prefix, ": ", checked.message()));
}

}  // namespace

const char* Name(OptionType type) {
  switch (type) {
    case OptionType::kBool:
      return "bool";
    case OptionType::kInt:
      return "int";
    case OptionType::kFloat:
      return "float";
    case OptionType::kString:
      return "string";
    case OptionType::kTensor:
      return "tensor";
    case OptionType::kList:
      return "list";
  }
  return "";
}

absl::Status ValidateOptions(absl::string_view owner, const OptionMap& options,
                             std::span<const OptionSpec> specs) {
  if (static_cast<int64_t>(options.size()) > kMaxOptionsPerCall) {
    return absl::InvalidArgumentError(absl::StrCat(
        owner, ": ", options.size(), " options, allowed: at most ", kMaxOptionsPerCall));
  }
  for (const auto& [name, value] : options) {
    const auto named = [&wanted = name](const OptionSpec& known) { return known.name == wanted; };
    const auto spec = std::find_if(specs.begin(), specs.end(), named);
    if (spec == specs.end()) {
      std::vector<std::string> known;
      known.reserve(specs.size());
      for (const OptionSpec& candidate : specs) known.emplace_back(candidate.name);
      return absl::InvalidArgumentError(
          absl::StrCat(owner, ": ", UnknownNameMessage("option", name, known)));
    }
    ATTN_RETURN_IF_ERROR(ValidateOption(owner, *spec, value));
  }
  return absl::OkStatus();
}

int64_t IntOption(const OptionMap& options, absl::string_view name, int64_t default_value) {
  const auto found = options.find(name);
  return found == options.end() ? default_value : std::get<int64_t>(found->second.value);
}

}  // namespace attn
