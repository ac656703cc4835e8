#include "server/transport/option_json.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "kernels/core/limits.h"
#include "kernels/core/nearest_name.h"
#include "nlohmann/json.hpp"

namespace attn {
namespace {

using Json = nlohmann::json;

// nlohmann's id of a number that is valid JSON and no finite double.
constexpr int kNumberOverflow = 406;

// Builds an OptionValue from the events of nlohmann's parser; the names of the events are its.
// An event that returns false ends the parse, and error() says why.
class OptionBuilder final : public nlohmann::json_sax<Json> {
 public:
  OptionValue TakeValue() { return std::move(*value_); }
  const std::string& error() const { return error_; }
  // The text is not JSON at all, as opposed to JSON that is no option.
  bool not_json() const { return not_json_; }

  bool null() override { return Refuse("null is no option value"); }
  bool boolean(bool value) override { return Add(OptionValue{value}); }
  bool number_integer(int64_t value) override { return Add(OptionValue{value}); }
  bool number_unsigned(uint64_t value) override {
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return RefuseInteger(absl::StrCat(value));
    }
    return Add(OptionValue{static_cast<int64_t>(value)});
  }
  bool number_float(double value, const std::string& text) override {
    // The parser reads an integer beyond 64 bits as a float.
    if (text.find_first_of(".eE") == std::string::npos) return RefuseInteger(text);
    return Add(OptionValue{value});
  }
  bool string(std::string& value) override {
    if (!in_tensor_) return Add(OptionValue{std::move(value)});
    if (tensor_.has_value()) return RefuseObject();
    tensor_ = std::move(value);
    return true;
  }
  bool binary(Json::binary_t&) override { return Refuse("binary data is no option value"); }

  bool start_object(size_t) override {
    if (in_tensor_) return RefuseObject();
    in_tensor_ = true;
    tensor_.reset();
    return true;
  }
  bool key(std::string& name) override {
    return name == "tensor" && !tensor_.has_value() ? true : RefuseObject();
  }
  bool end_object() override {
    if (!tensor_.has_value()) return RefuseObject();
    in_tensor_ = false;
    return Add(OptionValue{TensorName{*std::move(tensor_)}});
  }

  bool start_array(size_t) override {
    if (in_tensor_) return RefuseObject();
    if (lists_.size() == kMaxOptionDepth) {
      return Refuse(absl::StrCat("lists nest deeper than ", kMaxOptionDepth));
    }
    lists_.emplace_back();
    return true;
  }
  bool end_array() override {
    OptionList list = std::move(lists_.back());
    lists_.pop_back();
    return Add(OptionValue{std::move(list)});
  }

  bool parse_error(size_t position, const std::string& token,
                   const nlohmann::detail::exception& exception) override {
    if (exception.id == kNumberOverflow) {
      return Refuse(absl::StrCat("number ", token.substr(0, 64), " exceeds a double"));
    }
    not_json_ = true;
    return Refuse(absl::StrCat("not JSON at byte ", position));
  }

 private:
  bool Add(OptionValue value) {
    if (in_tensor_) return RefuseObject();
    if (lists_.empty()) {
      value_ = std::move(value);
    } else {
      lists_.back().push_back(std::move(value));
    }
    return true;
  }
  bool Refuse(std::string why) {
    error_ = std::move(why);
    return false;
  }
  bool RefuseInteger(const std::string& text) {
    return Refuse(absl::StrCat("integer ", text.substr(0, 64), " exceeds 64 bits"));
  }
  bool RefuseObject() { return Refuse("the only object allowed is {\"tensor\": \"name\"}"); }

  std::optional<OptionValue> value_;
  std::vector<OptionList> lists_;  // Open ones, outermost first.
  bool in_tensor_ = false;         // Inside {"tensor": ...}.
  std::optional<std::string> tensor_;
  std::string error_;
  bool not_json_ = false;
};

// Shortest digits that read back as the same double, always recognisable as a float.
std::string FloatJson(double value) {
  char digits[32];
  const std::to_chars_result end = std::to_chars(digits, digits + sizeof(digits), value);
  std::string text(digits, end.ptr);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string StringJson(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

absl::StatusOr<OptionValue> OptionFromText(absl::string_view text) {
  OptionBuilder builder;
  if (Json::sax_parse(text, &builder)) return builder.TakeValue();
  const size_t begin = text.find_first_not_of(" \t\r\n");
  const bool looks_like_json =
      begin != absl::string_view::npos &&
      absl::string_view("[{\"").find(text[begin]) != absl::string_view::npos;
  if (builder.not_json() && !looks_like_json) return OptionValue{std::string(text)};
  return absl::InvalidArgumentError(
      absl::StrCat("option value ", Quoted(text), ": ", builder.error()));
}

std::string ToJson(const OptionValue& value) {
  return std::visit(
      [](const auto& held) -> std::string {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, bool>) {
          return held ? "true" : "false";
        } else if constexpr (std::is_same_v<Held, int64_t>) {
          return absl::StrCat(held);
        } else if constexpr (std::is_same_v<Held, double>) {
          return FloatJson(held);
        } else if constexpr (std::is_same_v<Held, std::string>) {
          return StringJson(held);
        } else if constexpr (std::is_same_v<Held, TensorName>) {
          return absl::StrCat("{\"tensor\": ", StringJson(held.name), "}");
        } else {
          return absl::StrCat("[",
                              absl::StrJoin(held, ", ",
                                            [](std::string* to, const OptionValue& element) {
                                              absl::StrAppend(to, ToJson(element));
                                            }),
                              "]");
        }
      },
      value.value);
}

}  // namespace attn
