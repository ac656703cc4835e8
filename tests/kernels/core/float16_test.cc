#include "kernels/core/float16.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace attn {
namespace {

constexpr uint32_t kPatterns = 1 << 16;

// A 16-bit floating-point format by its definition: sign, exponent, fraction.
struct Format {
  int fraction_bits;
  int exponent_bits;
  uint16_t (*encode)(float);
  float (*decode)(uint16_t);

  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  uint32_t infinity() const { return ((1U << exponent_bits) - 1) << fraction_bits; }

  // The value of a pattern below infinity, exact in double.
  double Value(uint32_t magnitude) const {
    const int exponent = static_cast<int>(magnitude >> fraction_bits);
    const double fraction = magnitude & ((1U << fraction_bits) - 1);
    return exponent == 0 ? std::ldexp(fraction, 1 - bias() - fraction_bits)
                         : std::ldexp(fraction + std::ldexp(1.0, fraction_bits),
                                      exponent - bias() - fraction_bits);
  }
};

const Format kFormats[] = {{10, 5, FloatToFloat16, Float16ToFloat},
                           {7, 8, FloatToBFloat16, BFloat16ToFloat}};

TEST(Float16, EveryPatternDecodesToItsValueAndBack) {
  for (const Format& format : kFormats) {
    for (uint32_t pattern = 0; pattern < kPatterns; ++pattern) {
      const auto bits = static_cast<uint16_t>(pattern);
      const uint32_t magnitude = pattern & 0x7fffU;
      const float value = format.decode(bits);
      ASSERT_EQ(std::signbit(value), pattern >= 0x8000U) << pattern;
      if (magnitude > format.infinity()) {
        ASSERT_TRUE(std::isnan(value)) << pattern;
        ASSERT_GT(format.encode(value) & 0x7fffU, format.infinity()) << pattern;
        continue;
      }
      if (magnitude == format.infinity()) {
        ASSERT_TRUE(std::isinf(value)) << pattern;
      } else {
        ASSERT_EQ(std::abs(static_cast<double>(value)), format.Value(magnitude)) << pattern;
      }
      ASSERT_EQ(format.encode(value), bits) << pattern;
    }
  }
}

// Between two neighbours of the format: the midpoint goes to the even one, everything nearer to
// one of them goes there. The neighbour of the largest is where the next exponent would begin.
TEST(Float16, EveryGapRoundsToNearestEven) {
  for (const Format& format : kFormats) {
    for (uint32_t low = 0; low < format.infinity(); ++low) {
      const uint32_t high = low + 1;
      const double low_value = format.Value(low);
      const double high_value = format.Value(high);  // Also of "infinity": the value it rounds at.
      const double middle = (low_value + high_value) / 2;
      const auto float_middle = static_cast<float>(middle);
      ASSERT_EQ(static_cast<double>(float_middle), middle) << low;
      const uint32_t even = low % 2 == 0 ? low : high;
      const float below = std::nextafter(float_middle, 0.0F);
      const float above = std::nextafter(float_middle, std::numeric_limits<float>::infinity());
      ASSERT_EQ(format.encode(float_middle), even) << low;
      ASSERT_EQ(format.encode(below), low) << low;
      ASSERT_EQ(format.encode(above), high) << low;
      ASSERT_EQ(format.encode(-float_middle), even | 0x8000U) << low;
      ASSERT_EQ(format.encode(-below), low | 0x8000U) << low;
      ASSERT_EQ(format.encode(-above), high | 0x8000U) << low;
    }
  }
}

TEST(Float16, ExtremesOfFloat) {
  constexpr float kMax = std::numeric_limits<float>::max();
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  for (const Format& format : kFormats) {
    EXPECT_EQ(format.encode(kMax), format.infinity());
    EXPECT_EQ(format.encode(-kMax), format.infinity() | 0x8000U);
    EXPECT_EQ(format.encode(kTiny), 0);
    EXPECT_EQ(format.encode(-kTiny), 0x8000U);
    // NaN whose payload lies only in bits that are cut off.
    for (const uint32_t nan : {0x7f800001U, 0xff800001U, 0x7fffffffU}) {
      const uint16_t encoded = format.encode(std::bit_cast<float>(nan));
      EXPECT_GT(encoded & 0x7fffU, format.infinity());
      EXPECT_EQ(encoded >> 15, nan >> 31);
    }
  }
}

}  // namespace
}  // namespace attn
