#include "kernels/plugins/plugin_options.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "kernels/plugins/plugin_table.h"

namespace attn {
namespace {

std::optional<OptionType> TypeOf(attn_option_type type) {
  switch (type) {
    case ATTN_OPTION_BOOL:
      return OptionType::kBool;
    case ATTN_OPTION_INT:
      return OptionType::kInt;
    case ATTN_OPTION_FLOAT:
      return OptionType::kFloat;
    case ATTN_OPTION_STRING:
      return OptionType::kString;
    case ATTN_OPTION_TENSOR:
      return OptionType::kTensor;
    default:
      return std::nullopt;
  }
}

// The value that JSON text of the type stands for.
std::optional<OptionValue> ParseDefault(absl::string_view json, OptionType type) {
  switch (type) {
    case OptionType::kBool:
      if (json != "true" && json != "false") return std::nullopt;
      return OptionValue{json == "true"};
    case OptionType::kInt: {
      int64_t number = 0;
      if (!absl::SimpleAtoi(json, &number)) return std::nullopt;
      return OptionValue{number};
    }
    case OptionType::kFloat: {
      double number = 0;
      if (!absl::SimpleAtod(json, &number) || !std::isfinite(number)) return std::nullopt;
      return OptionValue{number};
    }
    case OptionType::kString: {
      const bool quoted =
          json.size() >= 2 && absl::StartsWith(json, "\"") && absl::EndsWith(json, "\"");
      if (!quoted) return std::nullopt;
      const absl::string_view text = json.substr(1, json.size() - 2);
      if (text.find_first_of("\"\\") != absl::string_view::npos) return std::nullopt;
      return OptionValue{std::string(text)};
    }
    default:
      return std::nullopt;
  }
}

// Borrows texts of the value, which has the type or is an integer for a float.
attn_option_value ToPlugin(const OptionValue& value, attn_option_type type) {
  attn_option_value to = {};
  to.type = type;
  if (const auto* as_bool = std::get_if<bool>(&value.value)) to.bool_value = *as_bool ? 1 : 0;
  if (const auto* number = std::get_if<double>(&value.value)) to.float_value = *number;
  if (const auto* number = std::get_if<int64_t>(&value.value)) {
    to.int_value = type == ATTN_OPTION_INT ? *number : 0;
    to.float_value = type == ATTN_OPTION_FLOAT ? static_cast<double>(*number) : 0;
  }
  if (const auto* text = std::get_if<std::string>(&value.value)) to.text = text->c_str();
  if (const auto* name = std::get_if<TensorName>(&value.value)) to.text = name->name.c_str();
  return to;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const PluginOptions>> PluginOptions::Create(
    const PluginOwner& owner, const attn_option* const* options, size_t count) {
  ATTN_RETURN_IF_ERROR(CheckPluginArray("options", options, count));
  auto result = std::unique_ptr<PluginOptions>(new PluginOptions());
  for (size_t i = 0; i < count; ++i) ATTN_RETURN_IF_ERROR(result->Add(owner, options[i], i));
  return result;
}

absl::Status PluginOptions::Add(const PluginOwner& owner, const attn_option* option, size_t index) {
  const std::string what = absl::StrCat("options[", index, "]");
  Declared declared{owner, {}, std::nullopt};
  ATTN_ASSIGN_OR_RETURN(declared.option, CopyTable(what, option));
  attn_option& copy = declared.option;
  ATTN_RETURN_IF_ERROR(CheckPluginName(what + ".name", copy.name));
  const auto twice = [&copy](const OptionSpec& spec) {
    return absl::string_view(spec.name) == copy.name;
  };
  if (std::any_of(specs_.begin(), specs_.end(), twice)) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ".name is ", Quoted(copy.name), ", which another option has"));
  }
  const std::optional<OptionType> type = TypeOf(copy.type);
  if (!type) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, ".type is ", copy.type, ", allowed: ", ATTN_OPTION_BOOL, " to ", ATTN_OPTION_TENSOR));
  }
  if (copy.default_json == nullptr) copy.default_json = "";
  ATTN_RETURN_IF_ERROR(CheckPluginText(what + ".default_json", copy.default_json, 0));
  ATTN_RETURN_IF_ERROR(CheckPluginText(what + ".allowed", copy.allowed, 1));
  ATTN_RETURN_IF_ERROR(CheckPluginText(what + ".description", copy.description, 1));
  if (*copy.default_json != '\0') {
    declared.default_value = ParseDefault(copy.default_json, *type);
    if (!declared.default_value) {
      return absl::InvalidArgumentError(absl::StrCat(what, ".default_json is ",
                                                     Quoted(copy.default_json), ", which is no ",
                                                     Name(*type), " in JSON"));
    }
  }
  declared_.push_back(std::make_unique<const Declared>(std::move(declared)));
  const Declared& kept = *declared_.back();
  if (kept.default_value) {
    if (const absl::Status status = Check(*kept.default_value, &kept); !status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, ".default_json is refused by its check: ", status.message()));
    }
  }
  specs_.push_back({copy.name, *type, copy.default_json, copy.allowed, copy.description, nullptr,
                    &PluginOptions::Check, &kept});
  return absl::OkStatus();
}

absl::Status PluginOptions::Check(const OptionValue& value, const void* context) {
  const Declared& declared = *static_cast<const Declared*>(context);
  const attn_option& option = declared.option;
  // A zero byte would end the text early.
  const auto* text = std::get_if<std::string>(&value.value);
  if (text != nullptr && absl::StrContains(*text, '\0')) {
    return absl::InvalidArgumentError("a zero byte in the text");
  }
  if (option.check == nullptr) return absl::OkStatus();
  const attn_option_value plain = ToPlugin(value, option.type);
  absl::Status status =
      CallPlugin(declared.owner, "option check", [&](char* error, size_t error_size) {
        return option.check(option.self, &plain, error, error_size);
      });
  if (status.ok() || absl::IsInternal(status)) return status;
  return absl::InvalidArgumentError(status.message());
}

std::optional<const OptionValue*> PluginOptions::Read(const OptionMap& given,
                                                      absl::string_view name,
                                                      OptionType type) const {
  const auto spec = std::find_if(specs_.begin(), specs_.end(), [&](const OptionSpec& one) {
    return name == one.name && type == one.type;
  });
  if (spec == specs_.end()) return std::nullopt;
  if (const auto found = given.find(name); found != given.end()) return &found->second;
  const Declared& declared = *declared_[static_cast<size_t>(spec - specs_.begin())];
  return declared.default_value ? &*declared.default_value : nullptr;
}

}  // namespace attn
