#include "kernels/stages/staged_tensors.h"

#include <array>
#include <utility>

#include "kernels/core/saturating.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// A tensor that is copied.
struct CopiedTensor {
  MutableTensorView StagedTensors::*member;
  DType dtype;
  int rank;
  std::array<int64_t, 4> dims;

  std::span<const int64_t> shape() const { return {dims.data(), static_cast<size_t>(rank)}; }
};

std::vector<CopiedTensor> CopiedTensors(const AttentionProblem& problem, DType inner_out) {
  const CallStages& stages = problem.stages;
  const bool joined = stages.replicated.any();
  const auto [batch, heads, query_len, key_len] = problem.sizes();
  std::vector<CopiedTensor> copied;
  if (joined || stages.rotary.form != RotaryForm::kNone) {
    copied.push_back(
        {&StagedTensors::q, problem.dtype, 4, {batch, heads, query_len, problem.head_dim}});
    copied.push_back({&StagedTensors::k,
                      problem.dtype,
                      4,
                      {batch, problem.kv_heads, key_len, problem.head_dim}});
  }
  if (joined) {
    copied.push_back({&StagedTensors::v,
                      problem.dtype,
                      4,
                      {batch, problem.kv_heads, key_len, problem.value_dim}});
  }
  if (joined || inner_out != problem.out_dtype) {
    copied.push_back(
        {&StagedTensors::out, inner_out, 4, {batch, heads, query_len, problem.value_dim}});
  }
  if (joined && problem.wanted.lse) {
    copied.push_back({&StagedTensors::lse, DType::kFloat32, 3, {batch, heads, query_len, 0}});
  }
  return copied;
}

// Saturates at INT64_MAX.
int64_t BytesOf(const CopiedTensor& copied) {
  int64_t bytes = BitWidth(copied.dtype) / 8;
  for (const int64_t dim : copied.shape()) bytes = SaturatingMultiply(bytes, dim);
  return bytes;
}

}  // namespace

AttentionProblem InnerProblem(const Backend& inner, const AttentionProblem& problem, bool refined) {
  AttentionProblem result = problem;
  result.stages = {};
  if (!refined) return result;
  result.out_dtype = DType::kFloat32;
  if (!inner.Supports(result).ok()) result.out_dtype = problem.out_dtype;
  return result;
}

int64_t StagedTensors::Bytes(const AttentionProblem& problem, DType inner_out) {
  int64_t sum = 0;
  for (const CopiedTensor& copied : CopiedTensors(problem, inner_out)) {
    sum = SaturatingAdd(sum, BytesOf(copied));
  }
  return sum;
}

absl::StatusOr<StagedTensors> StagedTensors::Create(const AttentionProblem& problem,
                                                    DType inner_out, BufferPool& buffers) {
  StagedTensors tensors;
  for (const CopiedTensor& copied : CopiedTensors(problem, inner_out)) {
    ATTN_ASSIGN_OR_RETURN(BufferPool::Lease lease, buffers.Take(BytesOf(copied)));
    tensors.*copied.member = {lease.data(), copied.dtype, TensorLayout::Contiguous(copied.shape())};
    tensors.leases_.push_back(std::move(lease));
  }
  return tensors;
}

}  // namespace attn
