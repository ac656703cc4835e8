#include "kernels/stages/output_pass.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "kernels/core/ceil_divide.h"
#include "kernels/core/status_macros.h"
#include "kernels/stages/token_copies.h"

namespace attn {
namespace {

constexpr float kEmptyRowLse = -std::numeric_limits<float>::infinity();

JoinedTokens JoinedValues(const AttentionCall& call) {
  const ReplicatedTokens& replicated = call.problem.stages.replicated;
  JoinedTokens values;
  values.first = FirstTokens(call.v, call.problem.key_len - replicated.key_len);
  if (replicated.any()) values.second = call.extra.find(replicated.v)->second;
  return values;
}

}  // namespace

OutputPass::OutputPass(const AttentionCall& call, SkipWeights weights, const Copies& copies)
    : call_(call),
      weights_(std::move(weights)),
      copies_(copies),
      factors_(call.problem.stages.gate, call.extra),
      values_(JoinedValues(call)),
      main_tokens_(call.problem.query_len - call.problem.stages.replicated.query_len),
      first_token_(0),
      tile_tokens_(
          std::max<int64_t>(1, kStageTileElements / std::max<int64_t>(1, call.problem.value_dim))) {
  const bool as_wanted = copies_.out.empty() && weights_.all_one() && !factors_.any();
  if (as_wanted) first_token_ = main_tokens_;
}

int64_t OutputPass::tiles() const {
  const AttentionProblem& problem = call_.problem;
  const int64_t tokens = call_.out.dim(2) + problem.stages.replicated.query_len - first_token_;
  return problem.batch * problem.heads * CeilDivide(tokens, tile_tokens_);
}

OutputPass::Target OutputPass::TargetOf(int64_t token) const {
  const int64_t sent = call_.out.dim(2);
  if (token < sent) {
    return {call_.out, call_.lse, token, token, token < main_tokens_ ? token : -1};
  }
  const int64_t replicated = token - sent;
  return {call_.replicated_out, call_.replicated_lse, replicated, token, main_tokens_ + replicated};
}

absl::Status OutputPass::RunTile(int64_t tile, Scratch& scratch) const {
  const AttentionProblem& problem = call_.problem;
  const int64_t dim = problem.value_dim;
  ATTN_RETURN_IF_ERROR(
      scratch.Reserve(2 * dim * static_cast<int64_t>(sizeof(float)) + kBufferAlignment));
  auto* const rows = scratch.Take<float>(2 * dim);
  const int64_t end = call_.out.dim(2) + problem.stages.replicated.query_len;
  const int64_t chunks = CeilDivide(end - first_token_, tile_tokens_);
  const int64_t head = tile / chunks % problem.heads;
  const int64_t b = tile / chunks / problem.heads;
  const int64_t first = first_token_ + tile % chunks * tile_tokens_;
  for (int64_t token = first; token < std::min(first + tile_tokens_, end); ++token) {
    const Target target = TargetOf(token);
    if (target.position >= 0) {
      StoreAttention(target, b, head, rows);
    } else {
      std::fill_n(rows, dim, 0.0F);
      StoreRow(rows, b, head, target.token, target.out);
    }
    StoreLse(target, b, head);
  }
  return absl::OkStatus();
}

OutputPass::Source OutputPass::AttentionOf(const Target& target, int64_t head) const {
  if (copies_.out.empty()) return {ReadOnly(target.out), {head, target.token}};
  return {copies_.out, {head, target.position}};
}

OutputPass::Source OutputPass::ValueOf(const Target& target, int64_t head) const {
  const JoinedTokens::Place place = values_.At(target.position);
  return {place.view, {call_.problem.kv_head(head), place.token}};
}

void OutputPass::StoreAttention(const Target& target, int64_t b, int64_t head, float* rows) const {
  const float weight = weights_[b];
  const RowPlace to = {head, target.token};
  if (weight == 1 && !factors_.any() && copies_.out.empty()) return;  // There already.

  // Where the weight is 0 attention is not even read: it may be NaN, or not computed.
  const Source base = weight == 0 ? ValueOf(target, head) : AttentionOf(target, head);
  const bool fraction = weight != 0 && weight != 1;
  if (!fraction && !factors_.any()) return CopyRow(base.view, base.place, target.out, to, b, rows);

  const int64_t dim = call_.problem.value_dim;
  LoadRow(base.view, b, base.place.head, base.place.token, rows);
  if (fraction) {
    float* const v = rows + dim;
    const Source value = ValueOf(target, head);
    LoadRow(value.view, b, value.place.head, value.place.token, v);
    for (int64_t d = 0; d < dim; ++d) rows[d] = v[d] + weight * (rows[d] - v[d]);
  }
  if (factors_.any()) {
    const float factor = factors_.At(b, head, target.gate_token);
    for (int64_t d = 0; d < dim; ++d) rows[d] *= factor;
  }
  StoreRow(rows, b, head, target.token, target.out);
}

void OutputPass::StoreLse(const Target& target, int64_t b, int64_t head) const {
  if (target.lse.empty()) return;
  float* const lse = target.lse.row<float>(b, head, target.token);
  if (target.position < 0) {
    *lse = kEmptyRowLse;
  } else if (!copies_.lse.empty()) {
    *lse = *copies_.lse.row<float>(b, head, target.position);
  }
}

}  // namespace attn
