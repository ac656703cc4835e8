#include "tests/support/oracle.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/support/mask_oracle.h"
#include "tests/support/random_tensors.h"

namespace attn {
namespace {

// Something that a query attends: a key with its value, or a pool of them.
struct Token {
  std::vector<double> key;
  std::vector<double> value;
  double bias = 0;  // Added to its score.
};

std::vector<double> Row(const TensorView& view, int64_t b, int64_t h, int64_t s) {
  std::vector<double> row;
  for (int64_t d = 0; d < view.dim(3); ++d) row.push_back(ElementAt(view, b, h, s, d));
  return row;
}

Token TokenAt(const AttentionCall& call, int64_t b, int64_t head, int64_t key) {
  const int64_t g = head / (call.problem.heads / call.problem.kv_heads);
  return {Row(call.k, b, g, key), Row(call.v, b, g, key)};
}

// The mean of tokens, `level` of them.
Token Pool(const std::vector<Token>& tokens) {
  const auto level = static_cast<double>(tokens.size());
  Token pool = tokens.front();
  for (size_t t = 1; t < tokens.size(); ++t) {
    for (size_t d = 0; d < pool.key.size(); ++d) pool.key[d] += tokens[t].key[d];
    for (size_t d = 0; d < pool.value.size(); ++d) pool.value[d] += tokens[t].value[d];
  }
  for (double& element : pool.key) element /= level;
  for (double& element : pool.value) element /= level;
  pool.bias = std::log(level);
  return pool;
}

// Softmax of one query over tokens; appends out and LSE, returns the weights.
std::vector<double> AttendRow(const std::vector<double>& query, const std::vector<Token>& tokens,
                              const AttentionProblem& problem, OracleResult* result) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<double> scores;
  for (const Token& token : tokens) {
    double score = 0;
    double size = 0;
    for (size_t d = 0; d < query.size(); ++d) {
      score += query[d] * token.key[d];
      size += std::abs(query[d] * token.key[d]);
    }
    scores.push_back(problem.scale * score + token.bias);
    result->largest_score = std::max(result->largest_score, std::abs(problem.scale) * size);
  }
  const double max = scores.empty() ? 0 : *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (const double score : scores) sum += std::exp(score - max);
  std::vector<double> out(static_cast<size_t>(problem.value_dim));
  std::vector<double> weights;
  for (size_t j = 0; j < tokens.size(); ++j) {
    weights.push_back(std::exp(scores[j] - max) / sum);
    for (size_t c = 0; c < out.size(); ++c) out[c] += weights[j] * tokens[j].value[c];
  }
  result->out.insert(result->out.end(), out.begin(), out.end());
  result->lse.push_back(tokens.empty() ? -kInfinity : max + std::log(sum));
  return weights;
}

int64_t Original(const std::vector<int32_t>& permutation, int64_t position) {
  return permutation.empty() ? position : permutation[static_cast<size_t>(position)];
}

// The tokens that the query at `position` (of block `query_block`) finds in one listed block.
std::vector<Token> ListedTokens(const AttentionCall& call, const BlockPlan& plan, int64_t b,
                                int64_t head, int64_t query_block, int64_t position,
                                const PlanEntry& entry, double* elements) {
  const MaskCase mask = {call.problem.mask.spec(), call.problem.batch, call.problem.query_len,
                         call.problem.key_len};
  const int64_t begin = plan.k_offsets[static_cast<size_t>(entry.key_block)];
  const int64_t end = plan.k_offsets[static_cast<size_t>(entry.key_block) + 1];
  std::vector<Token> tokens;
  if (entry.level > 1) {
    for (int64_t first = begin; first < end; first += entry.level) {
      std::vector<Token> pool;
      for (int64_t i = first; i < first + entry.level; ++i) {
        pool.push_back(TokenAt(call, b, head, Original(plan.k_permutation, std::min(i, end - 1))));
      }
      tokens.push_back(Pool(pool));
    }
    *elements += static_cast<double>(end - begin) / entry.level;
    return tokens;
  }
  const int64_t row = position - plan.q_offsets[static_cast<size_t>(query_block)];
  const int64_t words = (end - begin + 63) / 64;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t key = Original(plan.k_permutation, i);
    bool visible = true;
    if (entry.mask == BlockMask::kInterval) {
      visible = Sees(mask, b, Original(plan.q_permutation, position), key);
    } else if (entry.mask == BlockMask::kBits) {
      const int64_t word = entry.bits + row * words + (i - begin) / 64;
      visible = ((plan.bit_tiles[static_cast<size_t>(word)] >> ((i - begin) % 64)) & 1U) != 0;
    }
    if (!visible) continue;
    tokens.push_back(TokenAt(call, b, head, key));
    *elements += 1;
  }
  return tokens;
}

}  // namespace

OracleResult DenseOracle(const AttentionCall& call) {
  const AttentionProblem& problem = call.problem;
  const MaskCase mask = {problem.mask.spec(), problem.batch, problem.query_len, problem.key_len};
  OracleResult result;
  for (int64_t b = 0; b < problem.batch; ++b) {
    for (int64_t head = 0; head < problem.heads; ++head) {
      std::vector<Token> all;
      for (int64_t j = 0; j < problem.key_len; ++j) all.push_back(TokenAt(call, b, head, j));
      for (int64_t i = 0; i < problem.query_len; ++i) {
        std::vector<Token> tokens;
        std::vector<size_t> keys;
        for (int64_t j = 0; j < problem.key_len; ++j) {
          if (!Sees(mask, b, i, j)) continue;
          tokens.push_back(all[static_cast<size_t>(j)]);
          keys.push_back(static_cast<size_t>(j));
        }
        const std::vector<double> weights =
            AttendRow(Row(call.q, b, head, i), tokens, problem, &result);
        std::vector<double> row(static_cast<size_t>(problem.key_len));
        for (size_t t = 0; t < keys.size(); ++t) row[keys[t]] = weights[t];
        result.weights.insert(result.weights.end(), row.begin(), row.end());
        result.elements += static_cast<double>(keys.size());
      }
    }
  }
  return result;
}

OracleResult PlanOracle(const AttentionCall& call, const BlockPlan& plan) {
  const AttentionProblem& problem = call.problem;
  OracleResult result;
  const auto queries = static_cast<size_t>(problem.query_len);
  for (int64_t b = 0; b < problem.batch; ++b) {
    for (int64_t head = 0; head < problem.heads; ++head) {
      // In the plan's order, then put back.
      OracleResult permuted;
      for (int64_t block = 0; block < plan.query_blocks(); ++block) {
        const int64_t plan_row =
            ((plan.batch == 1 ? 0 : b) * plan.heads + (plan.heads == 1 ? 0 : head)) *
                plan.query_blocks() +
            block;
        for (int64_t position = plan.q_offsets[static_cast<size_t>(block)];
             position < plan.q_offsets[static_cast<size_t>(block) + 1]; ++position) {
          std::vector<Token> tokens;
          for (int64_t i = plan.row_begin[static_cast<size_t>(plan_row)];
               i < plan.row_begin[static_cast<size_t>(plan_row) + 1]; ++i) {
            const std::vector<Token> listed =
                ListedTokens(call, plan, b, head, block, position,
                             plan.entries[static_cast<size_t>(i)], &permuted.elements);
            tokens.insert(tokens.end(), listed.begin(), listed.end());
          }
          const int64_t query = Original(plan.q_permutation, position);
          AttendRow(Row(call.q, b, head, query), tokens, problem, &permuted);
        }
      }
      const size_t row = result.lse.size();
      const auto dim = static_cast<size_t>(problem.value_dim);
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
      result.largest_score = std::max(result.largest_score, permuted.largest_score);
    }
  }
  return result;
}

}  // namespace attn
