#include "server/services/output_layout.h"

#include <iterator>
#include <optional>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/core/limits.h"
#include "kernels/core/status_macros.h"
#include "kernels/core/tensor_pattern.h"
#include "server/transport/proto_conversion.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

absl::StatusOr<OutputTensor> MakeOutput(std::string name, DType dtype, std::vector<int64_t> shape,
                                        TensorLayout layout) {
  const std::optional<int64_t> count = CheckedElementCount(shape);
  if (!count || *count > kMaxTensorElements) {
    return absl::InvalidArgumentError(
        absl::StrCat("output '", name, "' would have shape ", ShapeText(shape),
                     ": too many elements, allowed: ", kMaxTensorElements));
  }
  OutputTensor output;
  output.name = std::move(name);
  output.dtype = dtype;
  output.shape = std::move(shape);
  output.layout = layout;
  output.bytes = ByteSize(dtype, *count);
  return output;
}

// `out` or `replicated_out`: in the pattern asked for, or in that of the queries.
absl::StatusOr<OutputTensor> MakeOut(std::string name, const std::string& asked,
                                     const InputTensor& queries, const AttentionProblem& problem) {
  const bool packed = problem.mask.spec().packed();
  TensorPattern pattern = TensorPattern::Default(packed);
  const std::string& text = asked.empty() ? queries.pattern : asked;
  if (!text.empty()) {
    absl::StatusOr<TensorPattern> parsed = TensorPattern::Parse(text);
    if (!parsed.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("outputs.out_pattern: ", parsed.status().message()));
    }
    pattern = *std::move(parsed);
  }
  if (pattern.packed() != packed) {
    return absl::InvalidArgumentError(absl::StrCat("outputs.out_pattern: '", pattern.text(),
                                                   "' does not fit; q is ",
                                                   packed ? "packed" : "not packed"));
  }
  const int64_t dims[] = {problem.batch, problem.heads, queries.layout.dims[2], problem.value_dim};
  TensorPattern::Shaped shaped = {.shape = {std::begin(dims), std::end(dims)}, .layout = {}};
  if (CheckedElementCount(dims)) shaped = pattern.ShapeOf(dims[0], dims[1], dims[2], dims[3]);
  ATTN_ASSIGN_OR_RETURN(OutputTensor out, MakeOutput(std::move(name), problem.out_dtype,
                                                     std::move(shaped.shape), shaped.layout));
  out.pattern = pattern.text();
  if (out.pattern.find('(') != std::string::npos) out.heads = problem.heads;
  return out;
}

// fp32 of fixed axes, batch first, which packed sequences do not show.
absl::StatusOr<OutputTensor> MakeFixed(std::string name, std::span<const int64_t> dims,
                                       bool packed) {
  const std::span<const int64_t> seen = dims.subspan(packed ? 1 : 0);
  // Of a size that MakeOutput refuses there are no strides.
  const bool countable = CheckedElementCount(dims).has_value();
  return MakeOutput(std::move(name), DType::kFloat32, {seen.begin(), seen.end()},
                    countable ? TensorLayout::Contiguous(dims) : TensorLayout());
}

}  // namespace

absl::Status ReadOutputsWanted(const v1::Outputs& outputs, AttentionProblem* problem) {
  problem->wanted.lse = outputs.lse();
  problem->wanted.weights = outputs.weights();
  problem->wanted.plan = outputs.plan();
  const std::pair<const char*, int64_t> blocks[] = {{"plan_block_q", outputs.plan_block_q()},
                                                    {"plan_block_k", outputs.plan_block_k()}};
  for (const auto& [name, size] : blocks) {
    if (size != 0 && !outputs.plan()) {
      return absl::InvalidArgumentError(
          absl::StrCat("outputs.", name, ": given without outputs.plan"));
    }
    if (size < 0 || size > kMaxBlock) {
      return absl::InvalidArgumentError(absl::StrCat("outputs.", name, ": ", size,
                                                     " not allowed, allowed: ", kMinBlock, " to ",
                                                     kMaxBlock, ", or 0 for the default"));
    }
  }
  problem->wanted.plan_block_q = outputs.plan_block_q();
  problem->wanted.plan_block_k = outputs.plan_block_k();
  problem->out_dtype = problem->dtype;
  if (outputs.out_dtype() != v1::DATA_TYPE_UNSPECIFIED) {
    ATTN_ASSIGN_OR_RETURN(problem->out_dtype, FromProto("outputs.out_dtype", outputs.out_dtype()));
    if (!IsFloat(problem->out_dtype)) {
      return absl::InvalidArgumentError(
          absl::StrCat("outputs.out_dtype: ", Name(problem->out_dtype),
                       " not allowed, allowed: fp32, fp16, bf16"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<OutputTensor>> LayOutOutputs(const v1::Outputs& outputs,
                                                        const std::vector<InputTensor>& inputs,
                                                        const AttentionProblem& problem) {
  const bool packed = problem.mask.spec().packed();
  const int64_t batch = problem.batch;
  const int64_t heads = problem.heads;
  std::vector<OutputTensor> laid_out;
  const auto add = [&laid_out](absl::StatusOr<OutputTensor> output) {
    if (!output.ok()) return output.status();
    laid_out.push_back(*std::move(output));
    return absl::OkStatus();
  };
  const InputTensor& q = FindTensor(inputs, "q");
  ATTN_RETURN_IF_ERROR(add(MakeOut("out", outputs.out_pattern(), q, problem)));
  if (problem.wanted.lse) {
    const int64_t dims[] = {batch, heads, q.layout.dims[2]};
    ATTN_RETURN_IF_ERROR(add(MakeFixed("lse", dims, packed)));
  }
  const ReplicatedTokens& replicated = problem.stages.replicated;
  if (replicated.any()) {
    ATTN_RETURN_IF_ERROR(add(MakeOut("replicated_out", outputs.out_pattern(),
                                     FindTensor(inputs, replicated.q), problem)));
    if (problem.wanted.lse) {
      const int64_t dims[] = {batch, heads, replicated.query_len};
      ATTN_RETURN_IF_ERROR(add(MakeFixed("replicated_lse", dims, packed)));
    }
  }
  if (problem.wanted.weights) {
    const int64_t dims[] = {batch, heads, problem.query_len, problem.key_len};
    ATTN_RETURN_IF_ERROR(add(MakeFixed("weights", dims, packed)));
  }
  return laid_out;
}

}  // namespace attn
