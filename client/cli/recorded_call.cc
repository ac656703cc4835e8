#include "client/cli/recorded_call.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "client/golden/tensor_compare.h"
#include "client/load/tensor_spec.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

bool Ascends(const std::vector<double>& values, size_t row) {
  for (size_t i = 1; i < values.size(); ++i) {
    if (i % row != 0 && values[i] < values[i - 1]) return false;
  }
  return true;
}

absl::Status DescribeValues(const ClientTensor& tensor, load::TensorSpec* spec) {
  if (tensor.dtype == DType::kBits || tensor.data.empty()) return absl::OkStatus();
  const FileTensor stored = {.dtype = tensor.dtype, .shape = tensor.shape, .data = tensor.data};
  ATTN_ASSIGN_OR_RETURN(std::vector<double> values, ToDoubles(stored));
  const bool floats = IsFloat(tensor.dtype);
  if (!floats && Ascends(values, static_cast<size_t>(tensor.shape.back()))) spec->ascending = true;
  values.erase(std::remove_if(values.begin(), values.end(),
                              [](double value) { return !std::isfinite(value); }),
               values.end());
  if (values.empty()) return absl::OkStatus();
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  spec->range = load::ValueRange{*min, *max};
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<load::Entry> RecordedEntry(const PreparedCall& call) {
  load::Entry entry = {.name = call.name, .request = call.arguments.request};
  for (const ClientTensor& tensor : call.arguments.tensors) {
    load::TensorSpec spec = {tensor.name, tensor.dtype, tensor.shape, tensor.pattern, tensor.heads};
    const bool operand = tensor.name == "q" || tensor.name == "k" || tensor.name == "v" ||
                         !OperandOf(tensor.name, entry.request.replicated()).empty();
    if (!operand) ATTN_RETURN_IF_ERROR(DescribeValues(tensor, &spec));
    entry.tensors.push_back(std::move(spec));
  }
  return entry;
}

}  // namespace attn::cli
