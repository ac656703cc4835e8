// What decides, element by element, which tokens a query attends: intervals, and a program where
// there is one.
#ifndef ATTN_KERNELS_CORE_MASK_PREDICATE_H_
#define ATTN_KERNELS_CORE_MASK_PREDICATE_H_

#include <cstdint>

#include "kernels/core/mask.h"
#include "kernels/core/mask_program.h"
#include "kernels/core/token_range.h"

namespace attn {

// A plain value; borrows both.
struct MaskPredicate {
  const IntervalMask* intervals = nullptr;
  const MaskProgram* program = nullptr;  // Or null. Both hold where it is there.

  // MaskProgram::Evaluate of both: bit (i, j) of the tile, least significant first, query i
  // starting at word i * words_per_query, at original positions. Bits past the last key are 0;
  // words beyond those of the keys are left alone.
  void Evaluate(int64_t b, int64_t head, const TokenRange& queries, const TokenRange& keys,
                uint64_t* words, int64_t words_per_query) const;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_MASK_PREDICATE_H_
