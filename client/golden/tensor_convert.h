// Float tensors in another float dtype.
#ifndef ATTN_CLIENT_GOLDEN_TENSOR_CONVERT_H_
#define ATTN_CLIENT_GOLDEN_TENSOR_CONVERT_H_

#include "absl/status/statusor.h"
#include "client/golden/safetensors.h"
#include "kernels/core/aligned_buffer.h"
#include "kernels/core/dtype.h"

namespace attn {

// The elements of a float tensor in `dtype`, fp32, fp16 or bf16, rounded to nearest even; widening
// is exact. INVALID_ARGUMENT for other dtypes, RESOURCE_EXHAUSTED without memory.
absl::StatusOr<AlignedBuffer> ConvertFloats(const FileTensor& tensor, DType dtype);

}  // namespace attn

#endif  // ATTN_CLIENT_GOLDEN_TENSOR_CONVERT_H_
