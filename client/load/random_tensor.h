// Random data for load: normal, as activations are, so that a softmax over it is an ordinary one.
#ifndef ATTN_CLIENT_LOAD_RANDOM_TENSOR_H_
#define ATTN_CLIENT_LOAD_RANDOM_TENSOR_H_

#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "kernels/core/aligned_buffer.h"
#include "kernels/core/dtype.h"

namespace attn::load {

// Elements of mean 0 and variance 1, the same for the same seed. INVALID_ARGUMENT for a dtype that
// is no float or a size that overflows, RESOURCE_EXHAUSTED without memory.
absl::StatusOr<AlignedBuffer> RandomTensor(DType dtype, std::span<const int64_t> shape,
                                           uint64_t seed);

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_RANDOM_TENSOR_H_
