#include "tests/support/oracle.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>

#include "tests/support/mask_oracle.h"
#include "tests/support/random_masks.h"
#include "tests/support/random_tensors.h"
#include "tests/support/score_oracle.h"

namespace attn {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A tensor [B, H, S, D], widened.
class Widened {
 public:
  explicit Widened(const TensorView& view)
      : heads_(view.dim(1)), tokens_(view.dim(2)), dim_(view.dim(3)) {
    for (int64_t b = 0; b < view.dim(0); ++b) {
      for (int64_t h = 0; h < heads_; ++h) {
        for (int64_t s = 0; s < tokens_; ++s) {
          for (int64_t d = 0; d < dim_; ++d) elements_.push_back(ElementAt(view, b, h, s, d));
        }
      }
    }
  }

  const double* Row(int64_t b, int64_t h, int64_t s) const {
    return elements_.data() + ((b * heads_ + h) * tokens_ + s) * dim_;
  }

 private:
  int64_t heads_;
  int64_t tokens_;
  int64_t dim_;
  std::vector<double> elements_;
};

// Something that a query attends: a key with its value, or a pool of them. Borrows its rows.
struct Token {
  const double* key = nullptr;
  const double* value = nullptr;
  int64_t index = -1;    // Of the key; -1 = of no single one.
  double log_level = 0;  // Of a pool: added to its score.
};

// One query of one head.
struct Place {
  int64_t b = 0;
  int64_t head = 0;
  int64_t query = 0;
};

// The call's tensors, and the means of pooled ones as they come up.
class Inputs {
 public:
  explicit Inputs(const AttentionCall& call)
      : call_(call),
        problem_(call.problem),
        scores_(call),
        mask_{problem_.mask.spec(), problem_.batch, problem_.query_len, problem_.key_len},
        q_(call.q),
        k_(call.k),
        v_(call.v) {}

  const AttentionProblem& problem() const { return problem_; }
  const ScoreOracle& scores() const { return scores_; }
  const double* Query(const Place& at) const { return q_.Row(at.b, at.head, at.query); }
  bool MaskShows(const Place& at, int64_t key) const { return Sees(mask_, at.b, at.query, key); }
  bool ExpressionShows(const Place& at, int64_t key) const {
    if (problem_.expression == nullptr) return true;
    return MaskOracle(problem_.expression->spec(), problem_.sizes(), call_.extra, at.b, at.head,
                      at.query, key, {&StripesFunction()});
  }

  Token At(int64_t b, int64_t head, int64_t key) const {
    const int64_t g = head / (problem_.heads / problem_.kv_heads);
    return {k_.Row(b, g, key), v_.Row(b, g, key), key};
  }

  // The mean of tokens.
  Token Pool(const std::vector<Token>& tokens) {
    const auto level = static_cast<double>(tokens.size());
    std::vector<double>& key = pools_.emplace_back(static_cast<size_t>(problem_.head_dim));
    std::vector<double>& value = pools_.emplace_back(static_cast<size_t>(problem_.value_dim));
    for (const Token& token : tokens) {
      for (size_t d = 0; d < key.size(); ++d) key[d] += token.key[d] / level;
      for (size_t d = 0; d < value.size(); ++d) value[d] += token.value[d] / level;
    }
    return {key.data(), value.data(), -1, std::log(level)};
  }

  // They last for one row.
  void ForgetPools() { pools_.clear(); }

 private:
  const AttentionCall& call_;
  const AttentionProblem& problem_;
  const ScoreOracle scores_;
  MaskCase mask_;
  Widened q_;
  Widened k_;
  Widened v_;
  std::deque<std::vector<double>> pools_;
};

// The score of a token, modified; records its size.
double ScoreOf(const Inputs& inputs, const Place& at, const Token& token, OracleResult* result) {
  const AttentionProblem& problem = inputs.problem();
  const double* const query = inputs.Query(at);
  double product = 0;
  double size = 0;
  for (int64_t d = 0; d < problem.head_dim; ++d) {
    product += query[d] * token.key[d];
    size += std::abs(query[d] * token.key[d]);
  }
  size *= std::abs(problem.scale);
  result->largest_score = std::max(result->largest_score, size);
  const double score = inputs.scores().Capped(problem.scale * product);
  if (token.index < 0) {
    result->largest_pooled_score = std::max(result->largest_pooled_score, size);
    return score + token.log_level;
  }
  const double bias = inputs.scores().Bias(at.b, at.head, at.query, token.index);
  const double alibi = inputs.scores().Alibi(at.b, at.head, at.query, token.index);
  const double added = std::abs(bias) + std::abs(alibi);
  if (std::isfinite(added)) result->largest_addend = std::max(result->largest_addend, added);
  return score + bias + alibi;
}

// Softmax of one query over tokens and its sink; appends out and LSE, returns the weights.
std::vector<double> AttendRow(const Inputs& inputs, const Place& at,
                              const std::vector<Token>& tokens, OracleResult* result) {
  const AttentionProblem& problem = inputs.problem();
  std::vector<double> weights;
  const double sink = inputs.scores().Sink(at.b, at.head, at.query).value_or(-kInfinity);
  double max = sink > -kInfinity ? sink : -kInfinity;
  for (const Token& token : tokens) {
    weights.push_back(ScoreOf(inputs, at, token, result));
    if (weights.back() > max) max = weights.back();
  }
  double sum = sink == -kInfinity ? 0 : std::exp(sink - max);
  for (double& weight : weights) {
    weight = weight == -kInfinity ? 0 : std::exp(weight - max);
    sum += weight;
  }
  std::vector<double> out(static_cast<size_t>(problem.value_dim));
  for (size_t j = 0; j < tokens.size() && sum != 0; ++j) {
    weights[j] /= sum;
    for (size_t c = 0; c < out.size(); ++c) {
      const double summand = weights[j] * tokens[j].value[c];
      out[c] += summand;
      if (std::isfinite(summand)) result->summand_squares += summand * summand;
    }
  }
  result->out.insert(result->out.end(), out.begin(), out.end());
  result->lse.push_back(sum == 0 ? -kInfinity : max + std::log(sum));
  return weights;
}

// One row of dense attention.
void AttendDense(const Inputs& inputs, const Place& at, OracleResult* result) {
  const AttentionProblem& problem = inputs.problem();
  std::vector<Token> tokens;
  for (int64_t j = 0; j < problem.key_len; ++j) {
    if (!inputs.MaskShows(at, j) || !inputs.ExpressionShows(at, j)) continue;
    tokens.push_back(inputs.At(at.b, at.head, j));
  }
  const std::vector<double> weights = AttendRow(inputs, at, tokens, result);
  result->elements += static_cast<double>(tokens.size());
  if (!problem.wanted.weights) return;
  std::vector<double> row(static_cast<size_t>(problem.key_len));
  for (size_t t = 0; t < tokens.size(); ++t) {
    row[static_cast<size_t>(tokens[t].index)] = weights[t];
  }
  result->weights.insert(result->weights.end(), row.begin(), row.end());
}

int64_t Original(const std::vector<int32_t>& permutation, int64_t position) {
  return permutation.empty() ? position : permutation[static_cast<size_t>(position)];
}

// What kPredicate blocks evaluate.
bool PredicateShows(const Inputs& inputs, const BlockPlan& plan, const Place& at, int64_t key) {
  if (plan.program != nullptr && !inputs.ExpressionShows(at, key)) return false;
  if (plan.mask == nullptr) return inputs.MaskShows(at, key);
  const KeyInterval seen = plan.mask->VisibleKeys(at.b, at.query);
  return seen.begin <= key && key < seen.end;
}

// The tokens that the query at `position` (of block `query_block`) finds in one listed block.
void AppendListed(Inputs& inputs, const BlockPlan& plan, const Place& at, int64_t query_block,
                  int64_t position, const PlanEntry& entry, std::vector<Token>* tokens,
                  double* elements) {
  const int64_t begin = plan.k_offsets[static_cast<size_t>(entry.key_block)];
  const int64_t end = plan.k_offsets[static_cast<size_t>(entry.key_block) + 1];
  if (entry.level > 1) {
    for (int64_t first = begin; first < end; first += entry.level) {
      std::vector<Token> pool;
      for (int64_t i = first; i < first + entry.level; ++i) {
        pool.push_back(
            inputs.At(at.b, at.head, Original(plan.k_permutation, std::min(i, end - 1))));
      }
      tokens->push_back(inputs.Pool(pool));
    }
    *elements += static_cast<double>(end - begin) / entry.level;
    return;
  }
  const int64_t row = position - plan.q_offsets[static_cast<size_t>(query_block)];
  const int64_t words = (end - begin + 63) / 64;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t key = Original(plan.k_permutation, i);
    bool visible = true;
    if (entry.mask == BlockMask::kPredicate) {
      visible = PredicateShows(inputs, plan, at, key);
    } else if (entry.mask == BlockMask::kBits) {
      const int64_t word = entry.bits + row * words + (i - begin) / 64;
      visible = ((plan.bit_tiles[static_cast<size_t>(word)] >> ((i - begin) % 64)) & 1U) != 0;
    }
    if (!visible) continue;
    tokens->push_back(inputs.At(at.b, at.head, key));
    *elements += 1;
  }
}

// Rows of one head in the plan's order.
OracleResult AttendPlan(Inputs& inputs, const BlockPlan& plan, int64_t b, int64_t head) {
  OracleResult permuted;
  for (int64_t block = 0; block < plan.query_blocks(); ++block) {
    const auto row = static_cast<size_t>(
        ((plan.batch == 1 ? 0 : b) * plan.heads + (plan.heads == 1 ? 0 : head)) *
            plan.query_blocks() +
        block);
    for (int64_t position = plan.q_offsets[static_cast<size_t>(block)];
         position < plan.q_offsets[static_cast<size_t>(block) + 1]; ++position) {
      const Place at = {b, head, Original(plan.q_permutation, position)};
      std::vector<Token> tokens;
      for (int64_t i = plan.row_begin[row]; i < plan.row_begin[row + 1]; ++i) {
        AppendListed(inputs, plan, at, block, position, plan.entries[static_cast<size_t>(i)],
                     &tokens, &permuted.elements);
      }
      AttendRow(inputs, at, tokens, &permuted);
      inputs.ForgetPools();
    }
  }
  return permuted;
}

}  // namespace

OracleResult DenseOracle(const AttentionCall& call) {
  const AttentionProblem& problem = call.problem;
  const Inputs inputs(call);
  OracleResult result;
  for (int64_t b = 0; b < problem.batch; ++b) {
    if (call.idle(b)) {
      const auto rows = static_cast<size_t>(problem.heads * problem.query_len);
      result.out.resize(result.out.size() + rows * static_cast<size_t>(problem.value_dim));
      result.lse.resize(result.lse.size() + rows);
      if (!problem.wanted.weights) continue;
      result.weights.resize(result.weights.size() + rows * static_cast<size_t>(problem.key_len));
      continue;
    }
    for (int64_t head = 0; head < problem.heads; ++head) {
      for (int64_t i = 0; i < problem.query_len; ++i) {
        AttendDense(inputs, {b, head, i}, &result);
      }
    }
  }
  return result;
}

OracleResult PlanOracle(const AttentionCall& call, const BlockPlan& plan) {
  const AttentionProblem& problem = call.problem;
  Inputs inputs(call);
  OracleResult result;
  const auto queries = static_cast<size_t>(problem.query_len);
  const auto dim = static_cast<size_t>(problem.value_dim);
  for (int64_t b = 0; b < problem.batch; ++b) {
    for (int64_t head = 0; head < problem.heads; ++head) {
      const OracleResult permuted = AttendPlan(inputs, plan, b, head);
      const size_t row = result.lse.size();
      result.lse.resize(row + queries);
      result.out.resize((row + queries) * dim);
      for (size_t position = 0; position < queries; ++position) {
        const auto query =
            static_cast<size_t>(Original(plan.q_permutation, static_cast<int64_t>(position)));
        result.lse[row + query] = permuted.lse[position];
        std::copy_n(permuted.out.begin() + static_cast<int64_t>(position * dim), dim,
                    result.out.begin() + static_cast<int64_t>((row + query) * dim));
      }
      result.elements += permuted.elements;
      result.summand_squares += permuted.summand_squares;
      result.largest_score = std::max(result.largest_score, permuted.largest_score);
      result.largest_addend = std::max(result.largest_addend, permuted.largest_addend);
      result.largest_pooled_score =
          std::max(result.largest_pooled_score, permuted.largest_pooled_score);
    }
  }
  return result;
}

}  // namespace attn
