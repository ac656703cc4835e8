// The options of a golden case, taken out one by one by whoever understands them: what is left at
// the end was understood by nobody.
#ifndef ATTN_CLIENT_CLI_CASE_OPTIONS_H_
#define ATTN_CLIENT_CLI_CASE_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/options.h"

namespace attn::cli {

class CaseOptions {
 public:
  explicit CaseOptions(OptionMap options) : options_(std::move(options)) {}

  const OptionMap& left() const { return options_; }

  // nullptr if it is absent or has been taken.
  const OptionValue* Find(absl::string_view name) const;
  void Drop(absl::string_view name);

  // nullopt if it is absent; INVALID_ARGUMENT if it holds another type than T, one of those of an
  // OptionValue.
  template <typename T>
  absl::StatusOr<std::optional<T>> Take(absl::string_view name) {
    const auto found = options_.find(name);
    if (found == options_.end()) return std::nullopt;
    T* value = std::get_if<T>(&found->second.value);
    if (value == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("option ", Quoted(name), " has a value of a wrong type"));
    }
    std::optional<T> taken = std::move(*value);
    options_.erase(found);
    return taken;
  }

  // As Take<double>, of an integer as well.
  absl::StatusOr<std::optional<double>> TakeNumber(absl::string_view name);

  // A list of `count` integers; empty if it is absent.
  absl::StatusOr<std::vector<int64_t>> TakeInts(absl::string_view name, size_t count);

 private:
  OptionMap options_;
};

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_CASE_OPTIONS_H_
