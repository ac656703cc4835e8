// Random interval masks and the definition of visibility, one element at a time, straight from the
// words of the contract: what mask and plan are tested against.
#ifndef ATTN_TESTS_SUPPORT_MASK_ORACLE_H_
#define ATTN_TESTS_SUPPORT_MASK_ORACLE_H_

#include <cstdint>
#include <random>
#include <string>

#include "kernels/core/mask.h"

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

}  // namespace attn

#endif  // ATTN_TESTS_SUPPORT_MASK_ORACLE_H_
