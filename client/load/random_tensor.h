// Random data for load.
#ifndef ATTN_CLIENT_LOAD_RANDOM_TENSOR_H_
#define ATTN_CLIENT_LOAD_RANDOM_TENSOR_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "client/load/tensor_spec.h"
#include "kernels/core/aligned_buffer.h"

namespace attn::load {

// The same for the same seed: from the range of the tensor, all numbers in it equally often;
// without one floats of mean 0 and variance 1, as activations are, so that a softmax over them is
// an ordinary one. INVALID_ARGUMENT as of CheckDrawable and for a size that overflows,
// RESOURCE_EXHAUSTED without memory.
absl::StatusOr<AlignedBuffer> RandomTensor(const TensorSpec& tensor, uint64_t seed);

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_RANDOM_TENSOR_H_
