#include "client/golden/tensor_compare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "kernels/core/float16.h"

namespace attn {
namespace {

// Reads elements of type T, which need not lie aligned, as doubles.
template <typename T, typename Widen>
std::vector<double> Widened(std::span<const std::byte> data, Widen widen) {
  std::vector<double> values(data.size() / sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) {
    T element;
    std::memcpy(&element, data.data() + i * sizeof(T), sizeof(T));
    values[i] = static_cast<double>(widen(element));
  }
  return values;
}

template <typename T>
std::vector<double> Widened(std::span<const std::byte> data) {
  return Widened<T>(data, [](T element) { return element; });
}

}  // namespace

absl::StatusOr<std::vector<double>> ToDoubles(const FileTensor& tensor) {
  switch (tensor.dtype) {
    case DType::kFloat32:
      return Widened<float>(tensor.data);
    case DType::kFloat16:
      return Widened<uint16_t>(tensor.data, Float16ToFloat);
    case DType::kBFloat16:
      return Widened<uint16_t>(tensor.data, BFloat16ToFloat);
    case DType::kInt32:
      return Widened<int32_t>(tensor.data);
    case DType::kInt64:
      return Widened<int64_t>(tensor.data);
    case DType::kUint8:
      return Widened<uint8_t>(tensor.data);
    case DType::kInt8:
      return Widened<int8_t>(tensor.data);
    case DType::kBits:
      break;
  }
  return absl::InvalidArgumentError(absl::StrCat("values of dtype ", Name(tensor.dtype)));
}

Difference Compare(std::span<const double> actual, std::span<const double> expected) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Difference difference;
  double error = 0;  // Sums of squares; the largest fp32 squared still fits.
  double actual_norm = 0;
  double expected_norm = 0;
  double product = 0;
  bool non_finite = false;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double a = actual[i];
    const double e = expected[i];
    const bool equal = a == e || (std::isnan(a) && std::isnan(e));
    if (!equal && difference.first_mismatch < 0) {
      difference.first_mismatch = static_cast<int64_t>(i);
    }
    if (!std::isfinite(a) || !std::isfinite(e)) {
      non_finite |= !equal;
      continue;
    }
    difference.max_abs = std::max(difference.max_abs, std::abs(a - e));
    error += (a - e) * (a - e);
    actual_norm += a * a;
    expected_norm += e * e;
    product += a * e;
  }
  if (non_finite) {
    return {kInfinity, kInfinity, /*cosine=*/0, difference.first_mismatch};
  }
  if (error > 0) difference.rel_l2 = std::sqrt(error / expected_norm);
  if (error > 0 && (actual_norm == 0 || expected_norm == 0)) {
    difference.cosine = 0;
  } else if (expected_norm > 0) {
    difference.cosine = product / std::sqrt(actual_norm * expected_norm);
  }
  return difference;
}

}  // namespace attn
