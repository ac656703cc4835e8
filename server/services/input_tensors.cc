#include "server/services/input_tensors.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/core/limits.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "kernels/core/tensor_pattern.h"
#include "server/transport/proto_conversion.h"

namespace attn {
namespace {

// Of a tensor of that quoted name.
absl::StatusOr<int64_t> CountElements(absl::string_view name, std::span<const int64_t> shape) {
  if (shape.empty() || shape.size() > kMaxRank) {
    return absl::InvalidArgumentError(absl::StrCat("tensor ", name, ": shape ",
                                                   ShapeText(shape).substr(0, 200), " has rank ",
                                                   shape.size(), ", allowed: 1 to ", kMaxRank));
  }
  for (const int64_t size : shape) {
    if (size < 1 || size > kMaxDimension) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", name, ": shape ", ShapeText(shape),
                                                     " has a dimension of ", size,
                                                     ", allowed: 1 to ", kMaxDimension));
    }
  }
  const std::optional<int64_t> count = CheckedElementCount(shape);
  if (!count || *count > kMaxTensorElements) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", name, ": shape ", ShapeText(shape),
                     " has too many elements, allowed: ", kMaxTensorElements));
  }
  return *count;
}

// With its size checked, its pattern not yet applied.
absl::StatusOr<InputTensor> ReadTensor(WireTensor& tensor, PayloadRule rule) {
  const attention::v1::Tensor& header = tensor.header;
  if (header.name().empty()) {
    return absl::InvalidArgumentError("tensors: a tensor without a name");
  }
  const std::string name = Quoted(header.name());
  if (const std::string field = FindUnknownField(header); !field.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("tensor ", name, ": unknown field ", field,
                                                   "; the client is newer than this server"));
  }
  InputTensor input;
  input.name = header.name();
  ATTN_ASSIGN_OR_RETURN(input.dtype, FromProto(absl::StrCat("tensor ", name), header.dtype()));
  const std::span<const int64_t> shape(header.shape().data(),
                                       static_cast<size_t>(header.shape_size()));
  ATTN_ASSIGN_OR_RETURN(const int64_t count, CountElements(name, shape));
  input.bytes = ByteSize(input.dtype, count);
  const bool absent = rule == PayloadRule::kOptional && tensor.payload_bytes == 0;
  if (!absent && tensor.payload_bytes != input.bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", name, ": data has ", tensor.payload_bytes, " bytes, but shape ",
                     ShapeText(shape), " of ", Name(input.dtype), " needs ", input.bytes));
  }
  input.layout = TensorLayout::Contiguous(shape);
  input.payload = std::move(tensor.payload);
  input.pattern = header.pattern();
  input.heads = header.heads();
  return input;
}

}  // namespace

absl::StatusOr<std::vector<InputTensor>> ReadTensors(std::vector<WireTensor> tensors,
                                                     PayloadRule rule) {
  std::vector<InputTensor> inputs;
  inputs.reserve(tensors.size());
  std::set<absl::string_view> names;
  for (WireTensor& tensor : tensors) {
    ATTN_ASSIGN_OR_RETURN(InputTensor input, ReadTensor(tensor, rule));
    inputs.push_back(std::move(input));
    if (!names.insert(tensor.header.name()).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensors: ", Quoted(tensor.header.name()), " stands twice"));
    }
  }
  return inputs;
}

absl::Status ApplyPattern(bool packed, InputTensor* input) {
  const std::string name = absl::StrCat("tensor ", Quoted(input->name));
  TensorPattern pattern = TensorPattern::Default(packed);
  if (!input->pattern.empty()) {
    absl::StatusOr<TensorPattern> parsed = TensorPattern::Parse(input->pattern);
    if (!parsed.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": ", parsed.status().message()));
    }
    pattern = *std::move(parsed);
  }
  if (pattern.packed() != packed) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, ": pattern '", pattern.text(), "' ",
        packed ? "has a batch axis, but mask.cu_seqlens_q and _k pack the sequences; use `t h d`"
               : "is packed, but the mask has no cu_seqlens_q and cu_seqlens_k"));
  }
  const TensorLayout sent = input->layout;
  ATTN_ASSIGN_OR_RETURN(input->layout, pattern.Resolve(name, sent.shape(), input->heads));
  return absl::OkStatus();
}

const InputTensor& FindTensor(const std::vector<InputTensor>& inputs, absl::string_view name) {
  return *std::find_if(inputs.begin(), inputs.end(),
                       [name](const InputTensor& input) { return input.name == name; });
}

std::string ShapeText(std::span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

}  // namespace attn
