// Random interval masks and the definition of visibility, of them and of expressions, one element
// at a time, straight from the words of the contract: what mask, program and plan are tested
// against.
#ifndef ATTN_TESTS_SUPPORT_MASK_ORACLE_H_
#define ATTN_TESTS_SUPPORT_MASK_ORACLE_H_

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/core/mask.h"
#include "kernels/core/mask_expression.h"
#include "kernels/core/mask_function.h"
#include "kernels/core/tensor_view.h"

namespace attn {

struct MaskCase {
  MaskSpec spec;
  int64_t batch = 1;
  int64_t query_len = 1;
  int64_t key_len = 1;

  IntervalMask Create() const { return *IntervalMask::Create(spec, batch, query_len, key_len); }
  std::string Describe() const;
};

// Small sizes, every feature and combination, windows up to INT64_MAX, empty sequences and samples.
MaskCase RandomMaskCase(std::mt19937_64& random);

// True if query i of sample b sees key j.
bool Sees(const MaskCase& mask_case, int64_t b, int64_t i, int64_t j);

// True if the expression lets head `head` of query i of sample b attend key j. The spec is one that
// MaskExpression::Create takes; a function is asked one element at a time.
bool MaskOracle(const MaskExpressionSpec& spec, const MaskSizes& sizes, const TensorMap& tensors,
                int64_t b, int64_t head, int64_t i, int64_t j,
                const std::vector<const MaskFunction*>& functions = {});

}  // namespace attn

#endif  // ATTN_TESTS_SUPPORT_MASK_ORACLE_H_
