// Tokens into packed form, rows into floats and back, by every table of tile kernels.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "tests/kernels/engines/nan_bits.h"
#include "tests/kernels/engines/tile_kernels_fixture.h"

namespace attn {
namespace {

class TilePackingTest : public TileTest {};

INSTANTIATE_TEST_SUITE_P(, TilePackingTest, testing::ValuesIn(TestedTables()), TableName);

TEST_P(TilePackingTest, PackingTellsOfValuesThatAreNotFinite) {
  std::vector<uint32_t> values(NansOf(dtype_).begin(), NansOf(dtype_).end());
  const uint32_t infinity = dtype_ == DType::kFloat32   ? 0x7f800000
                            : dtype_ == DType::kFloat16 ? 0x7c00
                                                        : 0x7f80;
  values.push_back(infinity);
  values.push_back(infinity | uint32_t{1} << (BitWidth(dtype_) - 1));
  for (const uint32_t value : values) {
    for (const int64_t at : {0, 8, 36}) {
      Tokens tokens(dtype_, 20, 37, 5);
      tokens.SetBits(19, at, value);
      EXPECT_FALSE(PackValuesOf(kernels_, tokens, 20).finite) << std::hex << value << " at " << at;
    }
  }
}

// Rows are widened and narrowed as core's conversions do it, bit for bit.
TEST_P(TilePackingTest, RowsConvertAsElementsDo) {
  std::mt19937 random(8);
  std::vector<float> special = {0,      -0.0F,  1,     65504,          65519.9F,        65520,
                                1e30F,  -1e-7F, 6e-8F, kFloatInfinity, -kFloatInfinity, 1e-40F,
                                3.4e38F};
  for (const uint32_t bits : kFloat32Nans) special.push_back(std::bit_cast<float>(bits));
  std::normal_distribution<float> normal(0, 1000);
  while (special.size() < 61) special.push_back(normal(random));
  const auto dim = static_cast<int64_t>(special.size());
  Aligned<float> from(64);
  std::copy(special.begin(), special.end(), from.data());
  std::vector<std::byte> stored(64 * 4);
  kernels_.store_row(from.data(), 1, dtype_, dim, stored.data());
  std::vector<float> loaded(64, -1);
  kernels_.load_row(stored.data(), dtype_, dim, loaded.data());
  for (int64_t d = 0; d < dim; ++d) {
    const float expected = Widened(dtype_, from[d]);
    const float actual = loaded[static_cast<size_t>(d)];
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(actual)) << from[d];
    } else {
      EXPECT_EQ(actual, expected) << from[d];
    }
  }
  EXPECT_EQ(loaded[static_cast<size_t>(dim)], -1);
  EXPECT_EQ(stored[static_cast<size_t>(dim * BitWidth(dtype_) / 8)], std::byte{0});
}

}  // namespace
}  // namespace attn
