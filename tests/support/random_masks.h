// Mask expressions with the tensors that they name, drawn from a seed.
#ifndef ATTN_TESTS_SUPPORT_RANDOM_MASKS_H_
#define ATTN_TESTS_SUPPORT_RANDOM_MASKS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "kernels/core/mask_expression.h"
#include "tests/support/mask_tensors.h"

namespace attn {

struct DrawnMask {
  uint64_t seed = 0;
  MaskExpressionSpec spec;
  MaskSizes sizes;
  MaskTensors tensors;

  // Knows StripesFunction. A drawn expression is valid.
  std::shared_ptr<const MaskExpression> Create() const;
  // What the oracle says.
  bool Sees(int64_t b, int64_t head, int64_t i, int64_t j) const;
  // Seed, sizes and tree, for messages.
  std::string Describe() const;
};

// Every node in every form; lengths of tables that are too short and too long, one sample for all
// or each its own, positions and ids that are negative, in runs and at random, ragged last blocks,
// offsets that push everything out of range.
DrawnMask DrawMask(uint64_t seed, const MaskSizes& sizes);
// Sizes drawn too: up to 3 samples and heads, 40 queries and 300 keys.
DrawnMask DrawMask(uint64_t seed);

}  // namespace attn

#endif  // ATTN_TESTS_SUPPORT_RANDOM_MASKS_H_
