#include "client/cli/case_tensors.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/golden/tensor_convert.h"
#include "client/named_tensors.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Adds one tensor; it has been checked to be an input.
absl::Status AddTensor(const GoldenCase& golden_case, const std::string& prefix,
                       const std::string& name, std::string pattern, int64_t heads,
                       std::optional<DType> dtype, CaseTensors* to) {
  const FileTensor* tensor = golden_case.Find(prefix, name);
  const FileTensor* q = golden_case.Find(prefix, "q");
  if (!Contains(golden_case.inputs, name) || tensor == nullptr || q == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("no input ", Quoted(name)));
  }
  ClientTensor sent{.name = name,
                    .dtype = tensor->dtype,
                    .shape = tensor->shape,
                    .pattern = std::move(pattern),
                    .heads = heads,
                    .data = tensor->data};
  // Widening takes every float along; narrowing only what the case stores like q.
  const bool convert = dtype.has_value() && *dtype != tensor->dtype && IsFloat(tensor->dtype) &&
                       (*dtype == DType::kFloat32 || tensor->dtype == q->dtype);
  if (convert) {
    ATTN_ASSIGN_OR_RETURN(AlignedBuffer converted, ConvertFloats(*tensor, *dtype));
    sent.dtype = *dtype;
    sent.data = {converted.data(), static_cast<size_t>(converted.size())};
    to->converted.push_back(std::move(converted));
  }
  to->tensors.push_back(std::move(sent));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CaseTensors> TakeTensors(const GoldenCase& golden_case, const std::string& prefix,
                                        const attention::v1::AttendRequest& request,
                                        const CaseLayout& layout,
                                        const std::vector<std::string>& not_sent,
                                        std::optional<DType> dtype) {
  CaseTensors taken;
  const std::array<std::array<std::string, 2>, 3> operands = {{{"q", request.replicated().q()},
                                                               {"k", request.replicated().k()},
                                                               {"v", request.replicated().v()}}};
  std::set<std::string> sent = {""};  // As replicated tokens that are not there are called.
  for (const size_t replicated : {0, 1}) {
    for (size_t i = 0; i < operands.size(); ++i) {
      const std::string& name = operands[i][replicated];
      if (!sent.insert(name).second) continue;
      ATTN_RETURN_IF_ERROR(AddTensor(golden_case, prefix, name, layout.patterns[i],
                                     i == 0 ? layout.heads : layout.kv_heads, dtype, &taken));
    }
  }
  const std::vector<std::string> named = NamedTensors(request);
  for (const std::string& name : named) {
    if (sent.contains(name)) continue;
    if (!Contains(golden_case.inputs, name)) {
      return absl::InvalidArgumentError(absl::StrCat("an option names the tensor ", Quoted(name),
                                                     ", which is not among `inputs`"));
    }
    ATTN_RETURN_IF_ERROR(
        AddTensor(golden_case, prefix, name, /*pattern=*/"", /*heads=*/0, dtype, &taken));
    sent.insert(name);
  }
  for (const std::string& name : golden_case.inputs) {
    if (sent.contains(name) || Contains(not_sent, name)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("input ", Quoted(name), " is named by no option"));
  }
  return taken;
}

}  // namespace attn::cli
