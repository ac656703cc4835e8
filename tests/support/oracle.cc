#include "tests/support/oracle.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>

#include "tests/support/mask_oracle.h"
#include "tests/support/random_tensors.h"

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
  double bias = 0;  // Added to its score.
};

// The call's tensors, and the means of pooled ones as they come up.
class Inputs {
 public:
  explicit Inputs(const AttentionCall& call)
      : problem_(call.problem),
        mask_{problem_.mask.spec(), problem_.batch, problem_.query_len, problem_.key_len},
        q_(call.q),
        k_(call.k),
        v_(call.v) {}

  const AttentionProblem& problem() const { return problem_; }
  const double* Query(int64_t b, int64_t head, int64_t query) const {
    return q_.Row(b, head, query);
  }
  bool Visible(int64_t b, int64_t query, int64_t key) const { return Sees(mask_, b, query, key); }

  Token At(int64_t b, int64_t head, int64_t key) const {
    const int64_t g = head / (problem_.heads / problem_.kv_heads);
    return {k_.Row(b, g, key), v_.Row(b, g, key)};
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
    return {key.data(), value.data(), std::log(level)};
  }

  // They last for one row.
  void ForgetPools() { pools_.clear(); }

 private:
  const AttentionProblem& problem_;
  MaskCase mask_;
  Widened q_;
  Widened k_;
  Widened v_;
  std::deque<std::vector<double>> pools_;
};

// Softmax of one query over tokens; appends out and LSE, returns the weights.
std::vector<double> AttendRow(const double* query, const std::vector<Token>& tokens,
                              const AttentionProblem& problem, OracleResult* result) {
  std::vector<double> weights;
  double max = -kInfinity;
  for (const Token& token : tokens) {
    double score = 0;
    double size = 0;
    for (int64_t d = 0; d < problem.head_dim; ++d) {
      score += query[d] * token.key[d];
      size += std::abs(query[d] * token.key[d]);
    }
    weights.push_back(problem.scale * score + token.bias);
    if (weights.back() > max) max = weights.back();
    size *= std::abs(problem.scale);
    result->largest_score = std::max(result->largest_score, size);
    if (token.bias > 0) result->largest_pooled_score = std::max(result->largest_pooled_score, size);
  }
  double sum = 0;
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

int64_t Original(const std::vector<int32_t>& permutation, int64_t position) {
  return permutation.empty() ? position : permutation[static_cast<size_t>(position)];
}

// The tokens that the query at `position` (of block `query_block`) finds in one listed block.
void AppendListed(Inputs& inputs, const BlockPlan& plan, int64_t b, int64_t head,
                  int64_t query_block, int64_t position, const PlanEntry& entry,
                  std::vector<Token>* tokens, double* elements) {
  const int64_t begin = plan.k_offsets[static_cast<size_t>(entry.key_block)];
  const int64_t end = plan.k_offsets[static_cast<size_t>(entry.key_block) + 1];
  if (entry.level > 1) {
    for (int64_t first = begin; first < end; first += entry.level) {
      std::vector<Token> pool;
      for (int64_t i = first; i < first + entry.level; ++i) {
        pool.push_back(inputs.At(b, head, Original(plan.k_permutation, std::min(i, end - 1))));
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
    if (entry.mask == BlockMask::kInterval) {
      visible = inputs.Visible(b, Original(plan.q_permutation, position), key);
    } else if (entry.mask == BlockMask::kBits) {
      const int64_t word = entry.bits + row * words + (i - begin) / 64;
      visible = ((plan.bit_tiles[static_cast<size_t>(word)] >> ((i - begin) % 64)) & 1U) != 0;
    }
    if (!visible) continue;
    tokens->push_back(inputs.At(b, head, key));
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
      std::vector<Token> tokens;
      for (int64_t i = plan.row_begin[row]; i < plan.row_begin[row + 1]; ++i) {
        AppendListed(inputs, plan, b, head, block, position, plan.entries[static_cast<size_t>(i)],
                     &tokens, &permuted.elements);
      }
      const int64_t query = Original(plan.q_permutation, position);
      AttendRow(inputs.Query(b, head, query), tokens, inputs.problem(), &permuted);
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
    for (int64_t head = 0; head < problem.heads; ++head) {
      for (int64_t i = 0; i < problem.query_len; ++i) {
        std::vector<Token> tokens;
        std::vector<size_t> keys;
        for (int64_t j = 0; j < problem.key_len; ++j) {
          if (!inputs.Visible(b, i, j)) continue;
          tokens.push_back(inputs.At(b, head, j));
          keys.push_back(static_cast<size_t>(j));
        }
        const std::vector<double> weights =
            AttendRow(inputs.Query(b, head, i), tokens, problem, &result);
        result.elements += static_cast<double>(keys.size());
        if (!problem.wanted.weights) continue;
        std::vector<double> row(static_cast<size_t>(problem.key_len));
        for (size_t t = 0; t < keys.size(); ++t) row[keys[t]] = weights[t];
        result.weights.insert(result.weights.end(), row.begin(), row.end());
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
      result.largest_pooled_score =
          std::max(result.largest_pooled_score, permuted.largest_pooled_score);
    }
  }
  return result;
}

}  // namespace attn
