#include "client/cli/case_options.h"

#include "kernels/core/status_macros.h"

namespace attn::cli {

const OptionValue* CaseOptions::Find(absl::string_view name) const {
  const auto found = options_.find(name);
  return found == options_.end() ? nullptr : &found->second;
}

void CaseOptions::Drop(absl::string_view name) {
  const auto found = options_.find(name);
  if (found != options_.end()) options_.erase(found);
}

absl::StatusOr<std::optional<double>> CaseOptions::TakeNumber(absl::string_view name) {
  const OptionValue* option = Find(name);
  if (option == nullptr || !std::holds_alternative<int64_t>(option->value)) {
    return Take<double>(name);
  }
  const auto number = static_cast<double>(std::get<int64_t>(option->value));
  Drop(name);
  return number;
}

absl::StatusOr<std::vector<int64_t>> CaseOptions::TakeInts(absl::string_view name, size_t count) {
  ATTN_ASSIGN_OR_RETURN(const std::optional<OptionList> list, Take<OptionList>(name));
  std::vector<int64_t> numbers;
  if (!list.has_value()) return numbers;
  for (const OptionValue& item : *list) {
    if (const int64_t* number = std::get_if<int64_t>(&item.value)) numbers.push_back(*number);
  }
  if (list->size() != count || numbers.size() != count) {
    return absl::InvalidArgumentError(
        absl::StrCat("option ", Quoted(name), " is not a list of ", count, " integers"));
  }
  return numbers;
}

}  // namespace attn::cli
