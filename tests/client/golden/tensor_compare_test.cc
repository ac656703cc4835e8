#include "client/golden/tensor_compare.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "client/golden/tensor_convert.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/core/float16.h"
#include "tests/client/golden/test_files.h"

namespace attn {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Comparison {
  const char* name;
  std::vector<double> actual;
  std::vector<double> expected;
  double rel_l2;
  double max_abs;
  double cosine;
  int64_t first_mismatch;
};

class CompareTest : public testing::TestWithParam<Comparison> {};

TEST_P(CompareTest, Figures) {
  const Comparison& row = GetParam();
  const Difference difference = Compare(row.actual, row.expected);
  EXPECT_DOUBLE_EQ(difference.rel_l2, row.rel_l2);
  EXPECT_DOUBLE_EQ(difference.max_abs, row.max_abs);
  EXPECT_DOUBLE_EQ(difference.cosine, row.cosine);
  EXPECT_EQ(difference.first_mismatch, row.first_mismatch);
}

INSTANTIATE_TEST_SUITE_P(
    TensorCompareTest, CompareTest,
    testing::Values(
        Comparison{"Equal", {3, 4}, {3, 4}, 0, 0, 1, -1},
        Comparison{"Nothing", {}, {}, 0, 0, 1, -1},
        Comparison{"OneOff", {3, 5}, {3, 4}, 0.2, 1, 29 / std::sqrt(34.0 * 25.0), 1},
        Comparison{"Opposite", {-3, -4}, {3, 4}, 2, 8, -1, 0},
        Comparison{"ZeroAgainstZero", {0, 0}, {0, -0.0}, 0, 0, 1, -1},
        Comparison{"SomethingAgainstZero", {0, 1}, {0, 0}, kInfinity, 1, 0, 1},
        Comparison{"ZeroAgainstSomething", {0, 0}, {3, 4}, 1, 4, 0, 0},
        Comparison{
            "EqualInfinities", {kInfinity, -kInfinity, 1}, {kInfinity, -kInfinity, 1}, 0, 0, 1, -1},
        Comparison{"OtherInfinity", {-kInfinity, 1}, {kInfinity, 1}, kInfinity, kInfinity, 0, 0},
        Comparison{"InfinityForANumber", {1, kInfinity}, {1, 1}, kInfinity, kInfinity, 0, 1},
        Comparison{"NumberForAnInfinity", {1, 1e30}, {1, kInfinity}, kInfinity, kInfinity, 0, 1},
        Comparison{"NanForNan", {kNan, 1}, {kNan, 1}, 0, 0, 1, -1},
        Comparison{"NanForANumber", {kNan, 1}, {2, 1}, kInfinity, kInfinity, 0, 0},
        Comparison{"NumberForNan", {2, 1}, {kNan, 1}, kInfinity, kInfinity, 0, 0},
        Comparison{"LargestFloats", {3e38, 0}, {3e38, 0}, 0, 0, 1, -1}),
    [](const testing::TestParamInfo<Comparison>& row) { return row.param.name; });

template <typename T>
std::vector<double> Doubles(DType dtype, const std::vector<T>& values) {
  const absl::StatusOr<std::vector<double>> doubles =
      ToDoubles({dtype, {static_cast<int64_t>(values.size())}, AsBytes(values)});
  EXPECT_TRUE(doubles.ok()) << doubles.status();
  return *doubles;
}

TEST(TensorCompareTest, IntegersAreWidenedExactly) {
  EXPECT_THAT(Doubles<int8_t>(DType::kInt8, {-128, 127}), testing::ElementsAre(-128, 127));
  EXPECT_THAT(Doubles<uint8_t>(DType::kUint8, {0, 255}), testing::ElementsAre(0, 255));
  EXPECT_THAT(Doubles<int32_t>(DType::kInt32, {INT32_MIN}), testing::ElementsAre(-0x1p31));
  EXPECT_THAT(Doubles<int64_t>(DType::kInt64, {int64_t{1} << 40}), testing::ElementsAre(0x1p40));
  EXPECT_FALSE(ToDoubles({DType::kBits, {0}, {}}).ok());
}

// Value of a finite 16-bit float, from its definition.
double FromBits(uint16_t bits, int mantissa_bits, int bias) {
  const int exponent = (bits & 0x7fff) >> mantissa_bits;
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, 1 - bias - mantissa_bits)
                    : std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

TEST(TensorCompareTest, EverySixteenBitFloatIsWidenedExactlyAndBack) {
  std::vector<uint16_t> all(65536);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  const struct {
    DType dtype;
    int mantissa_bits;
    int bias;
  } formats[] = {{DType::kFloat16, 10, 15}, {DType::kBFloat16, 7, 127}};
  for (const auto& format : formats) {
    const FileTensor stored{format.dtype, {65536}, AsBytes(all)};
    const std::vector<double> doubles = *ToDoubles(stored);
    const absl::StatusOr<AlignedBuffer> wide = ConvertFloats(stored, DType::kFloat32);
    ASSERT_TRUE(wide.ok()) << wide.status();
    const FileTensor widened{
        DType::kFloat32, {65536}, {wide->data(), static_cast<size_t>(wide->size())}};
    const absl::StatusOr<AlignedBuffer> back = ConvertFloats(widened, format.dtype);
    ASSERT_TRUE(back.ok()) << back.status();
    for (size_t i = 0; i < all.size(); ++i) {
      float value = 0;
      uint16_t bits = 0;
      std::memcpy(&value, wide->data() + i * sizeof(value), sizeof(value));
      std::memcpy(&bits, back->data() + i * sizeof(bits), sizeof(bits));
      const int exponent = (all[i] & 0x7fff) >> format.mantissa_bits;
      if (exponent == (0x7fff >> format.mantissa_bits)) {
        const bool nan = (all[i] & ((1 << format.mantissa_bits) - 1)) != 0;
        ASSERT_EQ(std::isnan(value), nan) << i;
        ASSERT_EQ(std::isinf(value), !nan) << i;
        if (nan) continue;
      } else {
        ASSERT_EQ(value, FromBits(all[i], format.mantissa_bits, format.bias)) << i;
      }
      ASSERT_EQ(static_cast<double>(value), doubles[i]) << i;
      ASSERT_EQ(bits, all[i]) << i;
    }
  }
}

TEST(TensorCompareTest, OnlyFloatsAreConverted) {
  const std::vector<int32_t> ints = {1};
  EXPECT_FALSE(ConvertFloats({DType::kInt32, {1}, AsBytes(ints)}, DType::kFloat32).ok());
  const std::vector<float> floats = {1};
  EXPECT_FALSE(ConvertFloats({DType::kFloat32, {1}, AsBytes(floats)}, DType::kInt32).ok());
}

}  // namespace
}  // namespace attn
