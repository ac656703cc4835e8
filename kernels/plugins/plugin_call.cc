#include "kernels/plugins/plugin_call.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "kernels/core/mask_predicate.h"
#include "kernels/core/status_macros.h"
#include "kernels/core/token_range.h"
#include "kernels/plugins/plugin_host.h"

namespace attn {
namespace {

// Keys whose bits are evaluated at a time: 128 bytes of stack.
constexpr int64_t kKeysAtOnce = 1024;

template <typename To, typename View>
To ToPlain(const View& view) {
  static_assert(ATTN_MAX_RANK == kMaxRank);
  To to = {};
  to.data = view.data;
  to.dtype = static_cast<attn_dtype>(view.dtype);
  to.rank = view.layout.rank;
  std::ranges::copy(view.layout.dims, to.dims);
  std::ranges::copy(view.layout.strides, to.strides);
  return to;
}

// The cast of dtypes.
static_assert(static_cast<int>(DType::kFloat32) == ATTN_FP32);
static_assert(static_cast<int>(DType::kFloat16) == ATTN_FP16);
static_assert(static_cast<int>(DType::kBFloat16) == ATTN_BF16);
static_assert(static_cast<int>(DType::kInt32) == ATTN_INT32);
static_assert(static_cast<int>(DType::kInt64) == ATTN_INT64);
static_assert(static_cast<int>(DType::kUint8) == ATTN_UINT8);
static_assert(static_cast<int>(DType::kInt8) == ATTN_INT8);
static_assert(static_cast<int>(DType::kBits) == ATTN_BITS);

}  // namespace

attn_tensor ToPlugin(const TensorView& view) { return ToPlain<attn_tensor>(view); }

attn_problem ToPlugin(const AttentionProblem& problem) {
  attn_problem to = {};
  to.struct_size = sizeof(to);
  to.host = &PluginHost();
  to.host_data = &problem;
  to.batch = problem.batch;
  to.heads = problem.heads;
  to.kv_heads = problem.kv_heads;
  to.query_len = problem.query_len;
  to.key_len = problem.key_len;
  to.head_dim = problem.head_dim;
  to.value_dim = problem.value_dim;
  to.dtype = static_cast<attn_dtype>(problem.dtype);
  to.out_dtype = static_cast<attn_dtype>(problem.out_dtype);
  to.scale = problem.scale;
  to.softcap = problem.modifiers.softcap;
  to.timestep = problem.metadata.timestep.value_or(-1);
  to.layer = problem.metadata.layer.value_or(-1);
  if (problem.metadata.grid) std::ranges::copy(*problem.metadata.grid, to.grid);
  to.text_length = problem.metadata.text_length;
  return to;
}

absl::StatusOr<std::unique_ptr<const PluginCall>> PluginCall::Create(const AttentionCall& call,
                                                                     const PluginOptions& options) {
  std::optional<MaskProgram> program;
  if (call.problem.expression != nullptr) {
    ATTN_ASSIGN_OR_RETURN(program, MaskProgram::Bind(*call.problem.expression, call.extra));
  }
  return std::unique_ptr<const PluginCall>(new PluginCall(call, options, std::move(program)));
}

PluginCall::PluginCall(const AttentionCall& call, const PluginOptions& options,
                       std::optional<MaskProgram> program)
    : call_(call),
      program_(std::move(program)),
      modifiers_(call),
      problem_(ToPlugin(call.problem)),
      options_{&options, &call.options} {
  plain_.struct_size = sizeof(plain_);
  plain_.problem = &problem_;
  plain_.options = &options_;
  plain_.host_data = this;
  plain_.q = ToPlugin(call.q);
  plain_.k = ToPlugin(call.k);
  plain_.v = ToPlugin(call.v);
  plain_.out = ToPlain<attn_output>(call.out);
  plain_.lse = ToPlain<attn_output>(call.lse);
  plain_.weights = ToPlain<attn_output>(call.weights);
  const int64_t heads = call.problem.heads;
  if (modifiers_.has_bias()) plain_.bias = ToPlugin(modifiers_.bias());
  if (modifiers_.has_slopes()) {
    for (int64_t i = 0; i < call.problem.batch * heads; ++i) {
      slopes_.push_back(modifiers_.slope(i / heads, i % heads));
    }
    plain_.alibi_slopes = slopes_.data();
  }
  if (modifiers_.has_sinks()) {
    for (int64_t head = 0; head < heads; ++head) sinks_.push_back(modifiers_.sink(head));
    plain_.sinks = sinks_.data();
  }
  if (!call.idle_samples.empty()) {
    idle_.assign(call.idle_samples.begin(), call.idle_samples.end());
    plain_.idle_samples = idle_.data();
  }
}

bool PluginCall::HasQuery(int64_t b, int64_t q) const {
  const AttentionProblem& problem = call_.problem;
  return b >= 0 && b < problem.batch && q >= 0 && q < problem.query_len;
}

void PluginCall::MaskRow(int64_t b, int64_t head, int64_t q, int64_t key_begin, int64_t key_count,
                         uint8_t* visible) const {
  const MaskPredicate mask = {&call_.problem.mask, program_ ? &*program_ : nullptr};
  std::array<uint64_t, kKeysAtOnce / 64> words;
  for (int64_t first = 0; first < key_count; first += kKeysAtOnce) {
    const int64_t keys = std::min(key_count - first, kKeysAtOnce);
    const int64_t begin = key_begin + first;
    mask.Evaluate(b, head, {q, q + 1}, {begin, begin + keys}, words.data(),
                  static_cast<int64_t>(words.size()));
    for (int64_t i = 0; i < keys; ++i) {
      const uint64_t word = words[static_cast<size_t>(i / 64)];
      visible[first + i] = static_cast<uint8_t>((word >> (i % 64)) & 1);
    }
  }
}

}  // namespace attn
