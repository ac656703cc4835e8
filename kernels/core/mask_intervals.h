// Recognises a program whose visible keys form one interval a query (causal, windows, chunks,
// lengths, left and right padding, packed sequences, prefixes, and what AND and OR make of them):
// such a mask takes the implicit plans.
#ifndef ATTN_KERNELS_CORE_MASK_INTERVALS_H_
#define ATTN_KERNELS_CORE_MASK_INTERVALS_H_

#include <optional>

#include "kernels/core/mask.h"
#include "kernels/core/mask_program.h"

namespace attn {

// The mask that `program` AND `also` make, or nullopt if it is not one interval a query for every
// head, or not found to be. Time is proportional to B * Sq * nodes, with a logarithm where tables
// are searched.
std::optional<IntervalMask> FindIntervals(const MaskProgram& program, const IntervalMask& also);

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_MASK_INTERVALS_H_
