#include "client/cli/parse_values.h"

#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "server/transport/option_json.h"

namespace attn::cli {
namespace {

absl::Status Wrong(absl::string_view flag, absl::string_view text, absl::string_view allowed) {
  return absl::InvalidArgumentError(absl::StrCat(flag, ": ", Quoted(text), "; allowed: ", allowed));
}

constexpr absl::string_view kDurationForm =
    "a positive time with its unit, as in 500ms, 30s, 2m or 1.5h";

std::optional<absl::Duration> ReadDuration(absl::string_view text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration <= absl::ZeroDuration() ||
      duration == absl::InfiniteDuration()) {
    return std::nullopt;
  }
  return duration;
}

}  // namespace

absl::StatusOr<std::vector<int64_t>> ParseIntegers(absl::string_view flag, absl::string_view text) {
  std::vector<int64_t> numbers;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    int64_t number = 0;
    if (!absl::SimpleAtoi(part, &number)) {
      return Wrong(flag, text, "integers with commas between them, as in 0,40,55");
    }
    numbers.push_back(number);
  }
  return numbers;
}

absl::StatusOr<std::vector<int64_t>> ParseShape(absl::string_view flag, absl::string_view text) {
  std::vector<int64_t> dims;
  for (const absl::string_view part : absl::StrSplit(text, 'x')) {
    int64_t dim = 0;
    if (!absl::SimpleAtoi(part, &dim) || dim < 1) {
      return Wrong(flag, text, "positive sizes with x between them, as in 1x8x128x64");
    }
    dims.push_back(dim);
  }
  return dims;
}

absl::StatusOr<load::TensorSpec> ParseTensor(absl::string_view flag, absl::string_view text) {
  constexpr absl::string_view kForm =
      "NAME=SHAPE:DTYPE[:MIN..MAX[:ascending]], as in ids=1x4096:int32:0..3";
  const std::pair<absl::string_view, absl::string_view> named =
      absl::StrSplit(text, absl::MaxSplits('=', 1));
  const std::vector<absl::string_view> parts = absl::StrSplit(named.second, ':');
  if (named.first.empty() || parts.size() < 2 || parts.size() > 4 ||
      (parts.size() == 4 && parts[3] != "ascending")) {
    return Wrong(flag, text, kForm);
  }
  load::TensorSpec spec = {.name = std::string(named.first)};
  ATTN_ASSIGN_OR_RETURN(spec.shape, ParseShape(flag, parts[0]));
  ATTN_ASSIGN_OR_RETURN(spec.dtype, ParseDType(flag, parts[1]));
  spec.ascending = parts.size() == 4;
  if (parts.size() == 2) return spec;
  const std::pair<absl::string_view, absl::string_view> ends = absl::StrSplit(parts[2], "..");
  load::ValueRange range;
  if (!absl::SimpleAtod(ends.first, &range.min) || !absl::SimpleAtod(ends.second, &range.max)) {
    return Wrong(flag, text, kForm);
  }
  spec.range = range;
  return spec;
}

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view flag, absl::string_view text) {
  if (const std::optional<absl::Duration> duration = ReadDuration(text)) return *duration;
  return Wrong(flag, text, kDurationForm);
}

absl::StatusOr<DType> ParseDType(absl::string_view flag, absl::string_view text) {
  if (const std::optional<DType> dtype = DTypeFromName(text)) return *dtype;
  const auto append_name = [](std::string* out, DType dtype) { absl::StrAppend(out, Name(dtype)); };
  return Wrong(flag, text, absl::StrJoin(kAllDTypes, ", ", append_name));
}

absl::StatusOr<OptionMap> ParseOptions(absl::string_view flag,
                                       const std::vector<std::string>& texts) {
  OptionMap options;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Wrong(flag, text, "KEY=VALUE, as in block_size=64 or mode=topk");
    }
    absl::StatusOr<OptionValue> value = OptionFromText(text.substr(equals + 1));
    if (!value.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(flag, " ", Quoted(text), ": ", value.status().message()));
    }
    const std::string key = text.substr(0, equals);
    if (!options.emplace(key, *std::move(value)).second) {
      return absl::InvalidArgumentError(absl::StrCat(flag, ": ", Quoted(key), " is given twice"));
    }
  }
  return options;
}

CLI::Option* AddDurationOption(CLI::App& app, const std::string& flag,
                               std::function<void(absl::Duration)> store,
                               const std::string& description) {
  const auto check = [](const std::string& text) {
    if (ReadDuration(text).has_value()) return std::string();
    return absl::StrCat(Quoted(text), "; allowed: ", kDurationForm);
  };
  const auto parse = [store](const std::string& text) { store(*ReadDuration(text)); };
  return app.add_option_function<std::string>(flag, parse, description)
      ->check(CLI::Validator(check, "", ""))
      ->type_name("TIME");
}

}  // namespace attn::cli
