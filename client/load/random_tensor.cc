#include "client/load/random_tensor.h"

#include <optional>
#include <random>

#include "absl/strings/str_cat.h"
#include "kernels/core/float16.h"
#include "kernels/core/limits.h"
#include "kernels/core/tensor_view.h"

namespace attn::load {

absl::StatusOr<AlignedBuffer> RandomTensor(DType dtype, std::span<const int64_t> shape,
                                           uint64_t seed) {
  if (!IsFloat(dtype)) {
    return absl::InvalidArgumentError(
        absl::StrCat("dtype: ", Name(dtype), "; allowed: fp32, fp16, bf16"));
  }
  const std::optional<int64_t> count = CheckedElementCount(shape);
  if (!count.has_value() || *count > kMaxTensorElements) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape: more than the ", kMaxTensorElements, " elements allowed"));
  }
  AlignedBuffer buffer = AlignedBuffer::Allocate(ByteSize(dtype, *count));
  if (buffer.data() == nullptr && *count > 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for a tensor of ", ByteSize(dtype, *count), " bytes"));
  }
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < *count; ++i) {
    const float value = normal(engine);
    switch (dtype) {
      case DType::kFloat16:
        reinterpret_cast<uint16_t*>(buffer.data())[i] = FloatToFloat16(value);
        break;
      case DType::kBFloat16:
        reinterpret_cast<uint16_t*>(buffer.data())[i] = FloatToBFloat16(value);
        break;
      default:
        reinterpret_cast<float*>(buffer.data())[i] = value;
    }
  }
  return buffer;
}

}  // namespace attn::load
