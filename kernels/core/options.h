// Typed options of a call and their declarations by backends.
#ifndef ATTN_KERNELS_CORE_OPTIONS_H_
#define ATTN_KERNELS_CORE_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace attn {

// The value refers to a tensor of the same call.
struct TensorName {
  std::string name;
  bool operator==(const TensorName&) const = default;
};

struct OptionValue;
using OptionList = std::vector<OptionValue>;

struct OptionValue {
  std::variant<bool, int64_t, double, std::string, TensorName, OptionList> value;
  bool operator==(const OptionValue&) const = default;
};

using OptionMap = std::map<std::string, OptionValue, std::less<>>;

enum class OptionType : uint8_t { kBool, kInt, kFloat, kString, kTensor, kList };

// `bool`, `int`, `float`, `string`, `tensor`, `list`.
const char* Name(OptionType type);

// What a backend declares about one option. Strings have static storage.
struct OptionSpec {
  const char* name;
  OptionType type;
  const char* default_json;  // "" = none
  const char* allowed;       // In words, for people: "16 to 256, a multiple of 16".
  const char* description;
  // OK, or INVALID_ARGUMENT that says what is allowed. Null = any value of the type.
  absl::Status (*check)(const OptionValue&);
  // Likewise, for declarations that are not known before the program runs.
  absl::Status (*check_with)(const OptionValue&, const void* context) = nullptr;
  const void* context = nullptr;
};

// Refuses unknown names (naming the nearest known one), wrong types (an int is accepted where a
// float is declared) and values that `check` refuses. `owner` begins the message.
absl::Status ValidateOptions(absl::string_view owner, const OptionMap& options,
                             std::span<const OptionSpec> specs);

// Typed read of validated options.
int64_t IntOption(const OptionMap& options, absl::string_view name, int64_t default_value);

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_OPTIONS_H_
