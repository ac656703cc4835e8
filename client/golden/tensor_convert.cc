#include "client/golden/tensor_convert.h"

#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/golden/tensor_compare.h"
#include "kernels/core/float16.h"
#include "kernels/core/status_macros.h"

namespace attn {

absl::StatusOr<AlignedBuffer> ConvertFloats(const FileTensor& tensor, DType dtype) {
  if (!IsFloat(tensor.dtype) || !IsFloat(dtype)) {
    return absl::InvalidArgumentError(
        absl::StrCat("no conversion from ", Name(tensor.dtype), " to ", Name(dtype)));
  }
  ATTN_ASSIGN_OR_RETURN(const std::vector<double> values, ToDoubles(tensor));
  const int64_t bytes = ByteSize(dtype, static_cast<int64_t>(values.size()));
  AlignedBuffer buffer = AlignedBuffer::Allocate(bytes);
  if (buffer.size() < bytes) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", bytes, " bytes"));
  }
  auto* floats = reinterpret_cast<float*>(buffer.data());
  auto* halves = reinterpret_cast<uint16_t*>(buffer.data());
  for (size_t i = 0; i < values.size(); ++i) {
    const auto value = static_cast<float>(values[i]);  // Exact: it was one, or less.
    if (dtype == DType::kFloat32) {
      floats[i] = value;
    } else {
      halves[i] = dtype == DType::kFloat16 ? FloatToFloat16(value) : FloatToBFloat16(value);
    }
  }
  return buffer;
}

}  // namespace attn
