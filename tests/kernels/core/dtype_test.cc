#include "kernels/core/dtype.h"

#include <gtest/gtest.h>

#include <iterator>
#include <limits>
#include <optional>

#include "kernels/core/float16.h"

namespace attn {
namespace {

struct DTypeCase {
  DType dtype;
  const char* name;
  int bits;
  int64_t bytes_of_nine;
  bool is_float;
};

constexpr DTypeCase kDTypeCases[] = {
    {DType::kFloat32, "fp32", 32, 36, true},  {DType::kFloat16, "fp16", 16, 18, true},
    {DType::kBFloat16, "bf16", 16, 18, true}, {DType::kInt32, "int32", 32, 36, false},
    {DType::kInt64, "int64", 64, 72, false},  {DType::kUint8, "uint8", 8, 9, false},
    {DType::kInt8, "int8", 8, 9, false},      {DType::kBits, "bits", 1, 2, false},
};

TEST(DType, TableOfTypes) {
  ASSERT_EQ(std::size(kDTypeCases), std::size(kAllDTypes));
  for (const DTypeCase& row : kDTypeCases) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(Name(row.dtype), row.name);
    EXPECT_EQ(DTypeFromName(row.name), row.dtype);
    EXPECT_EQ(BitWidth(row.dtype), row.bits);
    EXPECT_EQ(ByteSize(row.dtype, 9), row.bytes_of_nine);
    EXPECT_EQ(ByteSize(row.dtype, 0), 0);
    EXPECT_EQ(IsFloat(row.dtype), row.is_float);
  }
}

TEST(DType, BitsRoundUpToBytesAtAnySize) {
  EXPECT_EQ(ByteSize(DType::kBits, 8), 1);
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(ByteSize(DType::kBits, kMost), kMost / 8 + 1);
}

TEST(DType, UnknownNamesAreNoType) {
  for (const char* name : {"", "float32", "FP32", "fp32 ", "fp8"}) {
    EXPECT_EQ(DTypeFromName(name), std::nullopt) << name;
  }
}

TEST(DType, EpsilonIsTheDistanceFromOneToTheNextValue) {
  EXPECT_EQ(Epsilon(DType::kFloat32), std::numeric_limits<float>::epsilon());
  EXPECT_EQ(Epsilon(DType::kFloat16), Float16ToFloat(FloatToFloat16(1) + 1) - 1.0);
  EXPECT_EQ(Epsilon(DType::kBFloat16), BFloat16ToFloat(FloatToBFloat16(1) + 1) - 1.0);
}

}  // namespace
}  // namespace attn
