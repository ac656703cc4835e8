// Attention by its definition, in fp64, one row and one element at a time: what every engine is
// tested against. Shares no code with them. A score of -infinity weighs nothing, also where a row
// has no other; NaN stays NaN.
#ifndef ATTN_TESTS_SUPPORT_ORACLE_H_
#define ATTN_TESTS_SUPPORT_ORACLE_H_

#include <vector>

#include "kernels/core/attention_call.h"
#include "kernels/core/block_plan.h"

namespace attn {

struct OracleResult {
  std::vector<double> out;      // [B, H, Sq, Dv]
  std::vector<double> lse;      // [B, H, Sq]
  std::vector<double> weights;  // [B, H, Sq, Sk] where the call wants them; of dense attention only
  // The largest sum over d of |scale * q[d] * k[d]| of any visible score: the size that rounding
  // errors of scores are relative to.
  double largest_score = 0;
  double largest_pooled_score = 0;  // Of pooled tokens alone; 0 where there are none.
  // The largest |bias| + |ALiBi| of any visible score that is finite: what adding them rounds is
  // relative to it.
  double largest_addend = 0;
  // Sum over all elements of out of the squares of what they are sums of, weight * value: about
  // the square of out's norm, but where few values happen to cancel.
  double summand_squares = 0;
  // Score elements that were visible; a pooled token of level v counts as n / (v * tokens) of its
  // block of n keys.
  double elements = 0;
};

// Dense attention as the contract words it: mask, expression, score modifiers, sinks. Idle samples
// are left out: their outputs are 0 here, their elements not counted.
OracleResult DenseOracle(const AttentionCall& call);

// Attention over exactly what an explicit plan lists, with the call's score modifiers; of pooled
// tokens, which have no place, with the softcap alone. A plan's program is the call's expression.
OracleResult PlanOracle(const AttentionCall& call, const BlockPlan& plan);

}  // namespace attn

#endif  // ATTN_TESTS_SUPPORT_ORACLE_H_
