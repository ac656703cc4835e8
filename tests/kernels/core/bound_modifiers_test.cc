#include "kernels/core/bound_modifiers.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/core/float16.h"

namespace attn {
namespace {

AttentionCall CallOf(ScoreModifiers modifiers, TensorMap extra) {
  AttentionCall call;
  call.problem = {.batch = 2, .heads = 3, .kv_heads = 3, .query_len = 4, .key_len = 5};
  call.problem.modifiers = std::move(modifiers);
  call.extra = std::move(extra);
  return call;
}

template <typename Stored>
TensorView ViewOf(const std::vector<Stored>& values, DType dtype,
                  const std::vector<int64_t>& shape) {
  return {reinterpret_cast<const std::byte*>(values.data()), dtype,
          TensorLayout::Contiguous(shape)};
}

TEST(BoundModifiers, OfNoneAreNone) {
  const BoundModifiers bound(CallOf({}, {}));
  EXPECT_FALSE(bound.change_scores());
  EXPECT_EQ(bound.softcap(), 0);
  EXPECT_FALSE(bound.has_bias());
  EXPECT_FALSE(bound.has_slopes());
  EXPECT_FALSE(bound.has_sinks());
}

TEST(BoundModifiers, BiasIsRepeatedAlongAxesOfOne) {
  const std::vector<float> values = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const TensorView rows = ViewOf(values, DType::kFloat32, {1, 3, 4, 1});
  const BoundModifiers bound(CallOf({.bias = "b"}, {{"b", rows}}));
  ASSERT_TRUE(bound.has_bias());
  EXPECT_TRUE(bound.change_scores());
  for (int axis = 0; axis < 4; ++axis) {
    EXPECT_EQ(bound.bias().dim(axis),
              (std::vector<int64_t>{2, 3, 4, 5})[static_cast<size_t>(axis)]);
  }
  std::vector<float> row(5);
  LoadRow(bound.bias(), /*b=*/1, /*h=*/2, /*s=*/3, row.data());
  EXPECT_EQ(row, std::vector<float>(5, 11));
  LoadRow(bound.bias(), /*b=*/0, /*h=*/1, /*s=*/0, row.data());
  EXPECT_EQ(row, std::vector<float>(5, 4));
}

TEST(BoundModifiers, SlopesAreOfHeadsOrOfSamplesAndHeads) {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const BoundModifiers heads(
      CallOf({.alibi_slopes = "s"}, {{"s", ViewOf(values, DType::kFloat32, {3})}}));
  const BoundModifiers samples(
      CallOf({.alibi_slopes = "s"}, {{"s", ViewOf(values, DType::kFloat32, {2, 3})}}));
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t head = 0; head < 3; ++head) {
      EXPECT_EQ(heads.slope(b, head), static_cast<float>(1 + head));
      EXPECT_EQ(samples.slope(b, head), static_cast<float>(1 + 3 * b + head));
    }
  }
}

TEST(BoundModifiers, SinksAreWidened) {
  for (const DType dtype : {DType::kFloat16, DType::kBFloat16}) {
    std::vector<uint16_t> values;
    for (const float value : {-1.5F, 0.25F, 8.0F}) {
      values.push_back(dtype == DType::kFloat16 ? FloatToFloat16(value) : FloatToBFloat16(value));
    }
    const BoundModifiers bound(CallOf({.sinks = "s"}, {{"s", ViewOf(values, dtype, {3})}}));
    EXPECT_FALSE(bound.change_scores());
    ASSERT_TRUE(bound.has_sinks());
    EXPECT_EQ(bound.sink(0), -1.5F);
    EXPECT_EQ(bound.sink(1), 0.25F);
    EXPECT_EQ(bound.sink(2), 8.0F);
  }
}

}  // namespace
}  // namespace attn
