#include "tests/bench/attention_cpu/bench_call.h"

#include <cmath>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

absl::StatusOr<AttentionProblem> ProblemOf(const BenchShape& shape) {
  AttentionProblem problem;
  problem.batch = shape.batch;
  problem.heads = shape.heads;
  problem.kv_heads = shape.kv_heads;
  problem.query_len = shape.query_len;
  problem.key_len = shape.key_len;
  problem.head_dim = problem.value_dim = shape.head_dim;
  problem.dtype = problem.out_dtype = shape.dtype;
  problem.scale = 1 / std::sqrt(static_cast<double>(shape.head_dim));
  ATTN_ASSIGN_OR_RETURN(problem.mask, IntervalMask::Create({.causal = shape.causal}, shape.batch,
                                                           shape.query_len, shape.key_len));
  return problem;
}

TensorLayout LayoutOf(int64_t batch, int64_t heads, int64_t tokens, int64_t dim) {
  const int64_t dims[] = {batch, heads, tokens, dim};
  return TensorLayout::Contiguous(dims);
}

AlignedBuffer BufferFor(const TensorLayout& layout, DType dtype) {
  return AlignedBuffer::Allocate(ByteSize(dtype, layout.element_count()));
}

}  // namespace

BenchCall::BenchCall(AttentionProblem problem) {
  const TensorLayout queries =
      LayoutOf(problem.batch, problem.heads, problem.query_len, problem.head_dim);
  const TensorLayout keys =
      LayoutOf(problem.batch, problem.kv_heads, problem.key_len, problem.head_dim);
  q_ = BufferFor(queries, problem.dtype);
  k_ = BufferFor(keys, problem.dtype);
  v_ = BufferFor(keys, problem.dtype);
  out_ = BufferFor(queries, problem.dtype);
  call_.q = {q_.data(), problem.dtype, queries};
  call_.k = {k_.data(), problem.dtype, keys};
  call_.v = {v_.data(), problem.dtype, keys};
  call_.out = {out_.data(), problem.dtype, queries};
  call_.problem = std::move(problem);
}

absl::StatusOr<std::unique_ptr<BenchCall>> BenchCall::Load(const BenchShape& shape,
                                                           const std::string& path) {
  ATTN_ASSIGN_OR_RETURN(AttentionProblem problem, ProblemOf(shape));
  std::unique_ptr<BenchCall> loaded(new BenchCall(std::move(problem)));
  std::ifstream file(path, std::ios::binary);
  for (const AlignedBuffer* buffer : {&loaded->q_, &loaded->k_, &loaded->v_}) {
    if (buffer->data() == nullptr) return absl::ResourceExhaustedError("no memory for tensors");
    if (!file.read(reinterpret_cast<char*>(buffer->data()), buffer->size())) {
      return absl::InvalidArgumentError(absl::StrCat(path, " holds less than q, k and v"));
    }
  }
  if (loaded->out_.data() == nullptr) return absl::ResourceExhaustedError("no memory for tensors");
  return loaded;
}

absl::Status BenchCall::SaveOutput(const std::string& path) const {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(out_.data()), out_.size());
  if (file.flush()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot write ", path));
}

}  // namespace attn
