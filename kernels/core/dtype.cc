#include "kernels/core/dtype.h"

#include <cassert>

#include "absl/strings/string_view.h"

namespace attn {

int BitWidth(DType dtype) {
  switch (dtype) {
    case DType::kInt64:
      return 64;
    case DType::kFloat32:
    case DType::kInt32:
      return 32;
    case DType::kFloat16:
    case DType::kBFloat16:
      return 16;
    case DType::kUint8:
    case DType::kInt8:
      return 8;
    case DType::kBits:
      return 1;
  }
  return 0;
}

int64_t ByteSize(DType dtype, int64_t elements) {
  if (dtype == DType::kBits) return elements / 8 + (elements % 8 != 0 ? 1 : 0);
  return elements * (BitWidth(dtype) / 8);
}

bool IsFloat(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat16 || dtype == DType::kBFloat16;
}

double Epsilon(DType dtype) {
  assert(IsFloat(dtype));
  switch (dtype) {
    case DType::kFloat16:
      return 0x1p-10;
    case DType::kBFloat16:
      return 0x1p-7;
    default:
      return 0x1p-23;
  }
}

absl::string_view Name(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "fp32";
    case DType::kFloat16:
      return "fp16";
    case DType::kBFloat16:
      return "bf16";
    case DType::kInt32:
      return "int32";
    case DType::kInt64:
      return "int64";
    case DType::kUint8:
      return "uint8";
    case DType::kInt8:
      return "int8";
    case DType::kBits:
      return "bits";
  }
  return "";
}

std::optional<DType> DTypeFromName(absl::string_view name) {
  for (const DType dtype : kAllDTypes) {
    if (Name(dtype) == name) return dtype;
  }
  return std::nullopt;
}

}  // namespace attn
