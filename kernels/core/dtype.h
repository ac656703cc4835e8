// Element types of tensors.
#ifndef ATTN_KERNELS_CORE_DTYPE_H_
#define ATTN_KERNELS_CORE_DTYPE_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace attn {

// kBits: one bit an element, least significant first, rows not padded; masks only.
enum class DType : uint8_t { kFloat32, kFloat16, kBFloat16, kInt32, kInt64, kUint8, kInt8, kBits };

inline constexpr DType kAllDTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16,
                                       DType::kInt32,   DType::kInt64,   DType::kUint8,
                                       DType::kInt8,    DType::kBits};

// Bits of one element: 32, 16, 16, 32, 64, 8, 8, 1.
int BitWidth(DType dtype);

// Bytes of `elements` contiguous elements; kBits rounds up. Requires elements >= 0 and a product
// below 2^63 (see CheckedElementCount in tensor_view.h).
int64_t ByteSize(DType dtype, int64_t elements);

// fp32, fp16 and bf16.
bool IsFloat(DType dtype);

// Distance from 1 to the next larger value: 2^-23, 2^-10, 2^-7. Requires IsFloat.
double Epsilon(DType dtype);

// `fp32`, `fp16`, `bf16`, `int32`, `int64`, `uint8`, `int8`, `bits`.
absl::string_view Name(DType dtype);
std::optional<DType> DTypeFromName(absl::string_view name);

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_DTYPE_H_
