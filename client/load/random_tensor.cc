#include "client/load/random_tensor.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optional>
#include <random>

#include "absl/strings/str_cat.h"
#include "kernels/core/float16.h"
#include "kernels/core/limits.h"
#include "kernels/core/status_macros.h"
#include "kernels/core/tensor_view.h"

namespace attn::load {
namespace {

void Store(DType dtype, double value, int64_t index, std::byte* to) {
  switch (dtype) {
    case DType::kFloat32:
      reinterpret_cast<float*>(to)[index] = static_cast<float>(value);
      break;
    case DType::kFloat16:
      reinterpret_cast<uint16_t*>(to)[index] = FloatToFloat16(static_cast<float>(value));
      break;
    case DType::kBFloat16:
      reinterpret_cast<uint16_t*>(to)[index] = FloatToBFloat16(static_cast<float>(value));
      break;
    case DType::kInt32:
      reinterpret_cast<int32_t*>(to)[index] = static_cast<int32_t>(value);
      break;
    case DType::kInt64:
      reinterpret_cast<int64_t*>(to)[index] = static_cast<int64_t>(value);
      break;
    case DType::kUint8:
      reinterpret_cast<uint8_t*>(to)[index] = static_cast<uint8_t>(value);
      break;
    case DType::kInt8:
      reinterpret_cast<int8_t*>(to)[index] = static_cast<int8_t>(value);
      break;
    case DType::kBits:
      break;  // Drawn byte by byte.
  }
}

// Sorts each `row` elements of `count`, in their place: a row may be the whole of a large tensor.
template <typename Stored, typename ValueOf = std::identity>
void SortRows(int64_t count, int64_t row, std::byte* data, ValueOf value_of = {}) {
  auto* const elements = reinterpret_cast<Stored*>(data);
  for (int64_t begin = 0; begin < count; begin += row) {
    std::ranges::sort(elements + begin, elements + begin + row, {}, value_of);
  }
}

void SortRows(DType dtype, int64_t count, int64_t row, std::byte* data) {
  switch (dtype) {
    case DType::kFloat32:
      return SortRows<float>(count, row, data);
    case DType::kFloat16:
      return SortRows<uint16_t>(count, row, data, Float16ToFloat);
    case DType::kBFloat16:
      return SortRows<uint16_t>(count, row, data, BFloat16ToFloat);
    case DType::kInt32:
      return SortRows<int32_t>(count, row, data);
    case DType::kInt64:
      return SortRows<int64_t>(count, row, data);
    case DType::kUint8:
      return SortRows<uint8_t>(count, row, data);
    case DType::kInt8:
      return SortRows<int8_t>(count, row, data);
    case DType::kBits:
      break;  // CheckDrawable refuses it.
  }
}

// Numbers for one tensor, in turn.
class Draw {
 public:
  Draw(const TensorSpec& tensor, uint64_t seed)
      : engine_(seed), integers_(!IsFloat(tensor.dtype)), range_(tensor.range) {}

  double Next() {
    if (!range_.has_value()) return static_cast<double>(normal_(engine_));
    if (!integers_) return std::uniform_real_distribution(range_->min, range_->max)(engine_);
    return static_cast<double>(std::uniform_int_distribution<int64_t>(
        static_cast<int64_t>(range_->min), static_cast<int64_t>(range_->max))(engine_));
  }

  std::byte NextByte() { return static_cast<std::byte>(engine_() & 0xff); }

 private:
  std::mt19937_64 engine_;
  std::normal_distribution<float> normal_;
  const bool integers_;
  const std::optional<ValueRange> range_;
};

}  // namespace

absl::StatusOr<AlignedBuffer> RandomTensor(const TensorSpec& tensor, uint64_t seed) {
  ATTN_RETURN_IF_ERROR(CheckDrawable(tensor));
  const std::optional<int64_t> count = CheckedElementCount(tensor.shape);
  if (!count.has_value() || *count > kMaxTensorElements) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape: more than the ", kMaxTensorElements, " elements allowed"));
  }
  const int64_t bytes = ByteSize(tensor.dtype, *count);
  AlignedBuffer buffer = AlignedBuffer::Allocate(bytes);
  if (buffer.data() == nullptr && *count > 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for a tensor of ", bytes, " bytes"));
  }
  Draw draw(tensor, seed);
  if (tensor.dtype == DType::kBits) {
    std::generate_n(buffer.data(), bytes, [&draw] { return draw.NextByte(); });
    return buffer;
  }
  for (int64_t i = 0; i < *count; ++i) Store(tensor.dtype, draw.Next(), i, buffer.data());
  if (tensor.ascending && !tensor.shape.empty()) {
    SortRows(tensor.dtype, *count, tensor.shape.back(), buffer.data());
  }
  return buffer;
}

}  // namespace attn::load
