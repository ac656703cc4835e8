#include "kernels/core/saturating.h"

#include <gtest/gtest.h>

namespace attn {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

TEST(Saturating, AddsUpToTheLargestNumberAndNoFurther) {
  EXPECT_EQ(SaturatingAdd(2, 3), 5);
  EXPECT_EQ(SaturatingAdd(kMost - 1, 1), kMost);
  EXPECT_EQ(SaturatingAdd(kMost, 1), kMost);
  EXPECT_EQ(SaturatingAdd(kMost, kMost), kMost);
}

TEST(Saturating, MultipliesUpToTheLargestNumberAndNoFurther) {
  EXPECT_EQ(SaturatingMultiply(2, 3), 6);
  EXPECT_EQ(SaturatingMultiply(kMost, 0), 0);
  EXPECT_EQ(SaturatingMultiply(kMost, 1), kMost);
  EXPECT_EQ(SaturatingMultiply(int64_t{1} << 32, int64_t{1} << 31), kMost);
}

}  // namespace
}  // namespace attn
