#include "client/golden/golden_case.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "client/golden/strict_json.h"
#include "kernels/core/limits.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

using Json = nlohmann::json;
using Words = std::initializer_list<absl::string_view>;

absl::Status WrongType(absl::string_view key, absl::string_view wanted) {
  return absl::InvalidArgumentError(absl::StrCat("case: ", key, " is not ", wanted));
}

// nullptr if there is no such key or its value is null.
const Json* FindKey(const Json& object, absl::string_view key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

absl::Status RefuseUnknownKeys(absl::string_view owner, const Json& object, Words known) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return absl::InvalidArgumentError(absl::StrCat("case: unknown key ", Quoted(key), " in ",
                                                     owner,
                                                     ", known: ", absl::StrJoin(known, ", ")));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> RequiredString(const Json& object, absl::string_view key) {
  const Json* value = FindKey(object, key);
  if (value == nullptr || !value->is_string()) return WrongType(key, "a string");
  return value->get<std::string>();
}

absl::StatusOr<std::string> RequiredWord(const Json& object, absl::string_view key, Words known) {
  ATTN_ASSIGN_OR_RETURN(std::string word, RequiredString(object, key));
  if (std::find(known.begin(), known.end(), word) == known.end()) {
    return WrongType(absl::StrCat(key, " ", Quoted(word)),
                     absl::StrCat("one of ", absl::StrJoin(known, ", ")));
  }
  return word;
}

// Distinct strings; at least one.
absl::StatusOr<std::vector<std::string>> RequiredStrings(const Json& object,
                                                         absl::string_view key) {
  const Json* value = FindKey(object, key);
  const absl::Status malformed = WrongType(key, "a list of distinct strings");
  if (value == nullptr || !value->is_array() || value->empty()) return malformed;
  std::vector<std::string> strings;
  for (const Json& item : *value) {
    if (!item.is_string()) return malformed;
    strings.push_back(item.get<std::string>());
  }
  if (std::set<std::string>(strings.begin(), strings.end()).size() != strings.size()) {
    return malformed;
  }
  return strings;
}

// Absent, or a finite number >= 0.
absl::StatusOr<std::optional<double>> OptionalBound(const Json& object, absl::string_view key) {
  const Json* value = FindKey(object, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number() || !std::isfinite(value->get<double>()) || value->get<double>() < 0) {
    return WrongType(key, "a number of at least 0");
  }
  return value->get<double>();
}

bool NamesTensor(const GoldenCase& golden_case, const std::string& name) {
  return std::any_of(
      golden_case.prefixes.begin(), golden_case.prefixes.end(),
      [&](const std::string& prefix) { return golden_case.Find(prefix, name) != nullptr; });
}

absl::StatusOr<OptionValue> ReadOption(const GoldenCase& golden_case, absl::string_view key,
                                       const Json& value, int depth) {
  switch (value.type()) {
    case Json::value_t::boolean:
      return OptionValue{value.get<bool>()};
    case Json::value_t::number_float:
      return OptionValue{value.get<double>()};
    case Json::value_t::number_integer:
      return OptionValue{value.get<int64_t>()};
    case Json::value_t::number_unsigned:
      if (!std::in_range<int64_t>(value.get<uint64_t>())) break;
      return OptionValue{value.get<int64_t>()};
    case Json::value_t::object:
      return OptionValue{value.dump()};
    case Json::value_t::string: {
      auto text = value.get<std::string>();
      if (NamesTensor(golden_case, text)) return OptionValue{TensorName{std::move(text)}};
      return OptionValue{std::move(text)};
    }
    case Json::value_t::array: {
      if (depth >= kMaxOptionDepth) break;
      OptionList list;
      for (const Json& item : value) {
        ATTN_ASSIGN_OR_RETURN(OptionValue element, ReadOption(golden_case, key, item, depth + 1));
        list.push_back(std::move(element));
      }
      return OptionValue{std::move(list)};
    }
    default:
      break;
  }
  return WrongType(absl::StrCat("option ", Quoted(key)),
                   absl::StrCat("a bool, an int64, a double, a string, an object or a list of them "
                                "nested at most ",
                                kMaxOptionDepth, " deep"));
}

absl::StatusOr<OptionMap> ReadOptions(const GoldenCase& golden_case, absl::string_view owner,
                                      const Json& value) {
  if (!value.is_object()) return WrongType(owner, "an object");
  OptionMap options;
  for (const auto& [key, item] : value.items()) {
    if (item.is_null()) continue;
    ATTN_ASSIGN_OR_RETURN(OptionValue option, ReadOption(golden_case, key, item, 0));
    options.emplace(key, std::move(option));
  }
  return options;
}

absl::StatusOr<Expectation> ReadExpectation(const GoldenCase& golden_case, const Json& value) {
  if (!value.is_object()) return WrongType("an entry of expected", "an object");
  ATTN_RETURN_IF_ERROR(RefuseUnknownKeys(
      "expected", value, {"output", "tensor", "rel_l2", "max_abs", "exact", "with", "rows"}));
  Expectation expectation;
  ATTN_ASSIGN_OR_RETURN(
      expectation.output,
      RequiredWord(value, "output", {"out", "lse", "weights", "plan", "replicated_out"}));
  ATTN_ASSIGN_OR_RETURN(expectation.tensor, RequiredString(value, "tensor"));
  ATTN_ASSIGN_OR_RETURN(expectation.rel_l2, OptionalBound(value, "rel_l2"));
  ATTN_ASSIGN_OR_RETURN(expectation.max_abs, OptionalBound(value, "max_abs"));
  if (const Json* exact = FindKey(value, "exact"); exact != nullptr) {
    if (!exact->is_boolean()) return WrongType("exact", "a bool");
    expectation.exact = exact->get<bool>();
  }
  if (!expectation.exact && !expectation.rel_l2.has_value() && !expectation.max_abs.has_value()) {
    return WrongType("an entry of expected", "held to anything: rel_l2, max_abs or exact");
  }
  if (expectation.output == "plan" && !expectation.exact) {
    return WrongType("a plan", "expected to be exact");
  }
  if (const Json* with = FindKey(value, "with"); with != nullptr) {
    ATTN_ASSIGN_OR_RETURN(expectation.with, ReadOptions(golden_case, "with", *with));
    if (expectation.with.size() != with->size()) return WrongType("a value of with", "present");
  }
  if (const Json* rows = FindKey(value, "rows"); rows != nullptr) {
    if (!rows->is_number_unsigned() || !std::in_range<int64_t>(rows->get<uint64_t>())) {
      return WrongType("rows", "a count");
    }
    expectation.rows = rows->get<int64_t>();
  }
  return expectation;
}

// Every tensor that the case names is there, for every prefix.
absl::Status CheckTensors(const GoldenCase& golden_case) {
  std::vector<std::string> names = golden_case.inputs;
  for (const Expectation& expectation : golden_case.expected) names.push_back(expectation.tensor);
  for (const std::string& prefix : golden_case.prefixes) {
    for (const std::string& wanted : names) {
      if (golden_case.Find(prefix, wanted) == nullptr) {
        return absl::InvalidArgumentError(
            absl::StrCat("case: the file has no tensor ", Quoted(prefix + wanted)));
      }
    }
  }
  return absl::OkStatus();
}

// `inputs` and `expected`, which only a call has.
absl::Status ReadCall(const Json& json, GoldenCase* golden_case) {
  ATTN_ASSIGN_OR_RETURN(golden_case->inputs, RequiredStrings(json, "inputs"));
  const Json* expected = FindKey(json, "expected");
  if (expected == nullptr || !expected->is_array() || expected->empty()) {
    return WrongType("expected", "a list of what to compare");
  }
  for (const Json& item : *expected) {
    ATTN_ASSIGN_OR_RETURN(Expectation expectation, ReadExpectation(*golden_case, item));
    golden_case->expected.push_back(std::move(expectation));
  }
  return CheckTensors(*golden_case);
}

absl::Status ReadCase(const Json& json, GoldenCase* golden_case) {
  if (!json.is_object()) return WrongType("it", "an object");
  ATTN_RETURN_IF_ERROR(RefuseUnknownKeys(
      "the case", json,
      {"name", "area", "kind", "backend", "options", "inputs", "expected", "prefixes", "run_dtype",
       "layout", "facts", "tolerance", "compute_dtype", "source", "notes"}));
  ATTN_ASSIGN_OR_RETURN(golden_case->name, RequiredString(json, "name"));
  ATTN_ASSIGN_OR_RETURN(golden_case->area, RequiredString(json, "area"));
  ATTN_ASSIGN_OR_RETURN(golden_case->kind,
                        RequiredWord(json, "kind", {"call", "mask", "engine", "data"}));
  ATTN_ASSIGN_OR_RETURN(golden_case->backend, RequiredString(json, "backend"));
  ATTN_ASSIGN_OR_RETURN(golden_case->layout, RequiredString(json, "layout"));
  if (FindKey(json, "run_dtype") != nullptr) {
    ATTN_ASSIGN_OR_RETURN(golden_case->run_dtype,
                          RequiredWord(json, "run_dtype", {"fp32", "fp16", "bf16"}));
  }
  golden_case->prefixes = {""};
  if (FindKey(json, "prefixes") != nullptr) {
    ATTN_ASSIGN_OR_RETURN(golden_case->prefixes, RequiredStrings(json, "prefixes"));
  }
  const Json* options = FindKey(json, "options");
  if (options == nullptr) return WrongType("options", "an object");
  ATTN_ASSIGN_OR_RETURN(golden_case->options, ReadOptions(*golden_case, "options", *options));
  return golden_case->kind == "call" ? ReadCall(json, golden_case) : absl::OkStatus();
}

}  // namespace

const FileTensor* GoldenCase::Find(const std::string& prefix, const std::string& tensor) const {
  const FileTensor* own = file.Find(prefix + tensor);
  return own != nullptr ? own : file.Find(tensor);
}

absl::StatusOr<GoldenCase> ReadGoldenCase(const std::string& path) {
  GoldenCase golden_case;
  golden_case.path = path;
  ATTN_ASSIGN_OR_RETURN(golden_case.file, SafetensorsFile::Read(path));
  const auto text = golden_case.file.metadata().find("case");
  if (text == golden_case.file.metadata().end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": no golden case: its metadata has no key `case`"));
  }
  const absl::StatusOr<Json> json = ParseStrictJson("case", text->second);
  const absl::Status status = json.ok() ? ReadCase(*json, &golden_case) : json.status();
  if (!status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", status.message()));
  }
  return golden_case;
}

}  // namespace attn
