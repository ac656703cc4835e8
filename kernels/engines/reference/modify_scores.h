// What score modifiers do between the product and the softmax, in fp64.
#ifndef ATTN_KERNELS_ENGINES_REFERENCE_MODIFY_SCORES_H_
#define ATTN_KERNELS_ENGINES_REFERENCE_MODIFY_SCORES_H_

#include "kernels/core/bound_modifiers.h"
#include "kernels/core/mask.h"
#include "kernels/engines/reference/reference_tile.h"

namespace attn {

// Of visible scores, which are scaled: softcap, + bias, + ALiBi, whose distances are the mask's.
void ModifyScores(const BoundModifiers& modifiers, const IntervalMask& mask,
                  const ReferenceTile& tile);

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_REFERENCE_MODIFY_SCORES_H_
