// How far an output is from what was expected.
#ifndef ATTN_CLIENT_GOLDEN_TENSOR_COMPARE_H_
#define ATTN_CLIENT_GOLDEN_TENSOR_COMPARE_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/golden/safetensors.h"

namespace attn {

// Any float or integer dtype, widened. INVALID_ARGUMENT for kBits.
absl::StatusOr<std::vector<double>> ToDoubles(const FileTensor& tensor);

// rel_l2 = ||actual - expected|| / ||expected|| (0/0 = 0). Equal infinities and NaN against NaN
// match; any other non-finite difference makes both figures infinite.
struct Difference {
  double rel_l2 = 0;
  double max_abs = 0;
  double cosine = 1;
  int64_t first_mismatch = -1;  // Index of the first element that differs at all.
};
// Sizes must be equal (checked by the caller with a message that names the shapes).
Difference Compare(std::span<const double> actual, std::span<const double> expected);

}  // namespace attn

#endif  // ATTN_CLIENT_GOLDEN_TENSOR_COMPARE_H_
