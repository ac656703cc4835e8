// What score modifiers do to one score, straight from the words of the contract; shares no code
// with the engines.
#ifndef ATTN_TESTS_SUPPORT_SCORE_ORACLE_H_
#define ATTN_TESTS_SUPPORT_SCORE_ORACLE_H_

#include <cstdint>
#include <optional>

#include "kernels/core/attention_call.h"

namespace attn {

// Borrows the call.
class ScoreOracle {
 public:
  explicit ScoreOracle(const AttentionCall& call) : call_(call) {}

  // softcap * tanh(score / softcap), or the score itself.
  double Capped(double score) const;
  // Bias and ALiBi, what each adds to the score of query i and key j.
  double Bias(int64_t b, int64_t head, int64_t i, int64_t j) const;
  double Alibi(int64_t b, int64_t head, int64_t i, int64_t j) const;
  // nullopt without sinks, and for queries beyond q_lengths.
  std::optional<double> Sink(int64_t b, int64_t head, int64_t i) const;

 private:
  const TensorView& Tensor(const std::string& name) const { return call_.extra.at(name); }

  const AttentionCall& call_;
};

}  // namespace attn

#endif  // ATTN_TESTS_SUPPORT_SCORE_ORACLE_H_
