#include "kernels/core/score_modifiers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace attn {
namespace {

using testing::HasSubstr;

constexpr MaskSizes kSizes = {.batch = 2, .heads = 3, .query_len = 5, .key_len = 7};

TensorView Shaped(const std::vector<int64_t>& shape, DType dtype = DType::kFloat32) {
  return {nullptr, dtype, TensorLayout::Contiguous(shape)};
}

TensorMap Tensors() {
  return {{"bias", Shaped({2, 3, 5, 7})},
          {"bias_of_keys", Shaped({1, 1, 1, 7}, DType::kBFloat16)},
          {"bias_of_one", Shaped({1, 1, 1, 1}, DType::kFloat16)},
          {"bias_wrong", Shaped({2, 3, 5, 6})},
          {"bias_of_three_samples", Shaped({3, 1, 1, 1})},
          {"heads", Shaped({3})},
          {"samples_heads", Shaped({2, 3})},
          {"one_heads", Shaped({1, 3})},
          {"four", Shaped({4})},
          {"scalar", Shaped({})},
          {"ints", Shaped({3}, DType::kInt32)},
          {"bytes", Shaped({2, 3, 5, 7}, DType::kUint8)}};
}

absl::Status Check(const ScoreModifiers& modifiers) {
  return CheckScoreModifiers(modifiers, kSizes, Tensors());
}

TEST(ScoreModifiers, AcceptsEveryShapeThatBroadcasts) {
  for (const ScoreModifiers& modifiers :
       {ScoreModifiers{}, ScoreModifiers{.softcap = 30}, ScoreModifiers{.softcap = 1e-30},
        ScoreModifiers{.bias = "bias"}, ScoreModifiers{.bias = "bias_of_keys"},
        ScoreModifiers{.bias = "bias_of_one"}, ScoreModifiers{.alibi_slopes = "heads"},
        ScoreModifiers{.alibi_slopes = "samples_heads"}, ScoreModifiers{.sinks = "heads"},
        ScoreModifiers{1, "bias", "heads", "heads"}}) {
    EXPECT_TRUE(Check(modifiers).ok()) << Check(modifiers);
  }
}

TEST(ScoreModifiers, RefusalsNameTheFieldTheValueAndWhatIsAllowed) {
  struct Row {
    ScoreModifiers modifiers;
    std::string message;
  };
  constexpr double kUnbounded = std::numeric_limits<double>::infinity();
  const Row rows[] = {
      {{.softcap = -1}, "modifiers.softcap is -1, allowed: 1.17549e-38 to 3.40282e+38"},
      {{.softcap = kUnbounded}, "modifiers.softcap is inf, allowed: "},
      {{.softcap = std::nan("")}, "modifiers.softcap is nan, allowed: "},
      {{.softcap = 1e-40}, "modifiers.softcap is 1e-40, allowed: "},
      {{.softcap = 1e39}, "modifiers.softcap is 1e+39, allowed: "},
      {{.bias = "none"}, "modifiers.bias names the tensor `none`, which the call does not have"},
      {{.bias = "bytes"}, "modifiers.bias: tensor `bytes` is uint8, allowed: fp32, fp16, bf16"},
      {{.bias = "bias_wrong"},
       "modifiers.bias: tensor `bias_wrong` has the shape [2, 3, 5, 6], allowed: [2, 3, 5, 7], or "
       "1 along any axis"},
      {{.bias = "bias_of_three_samples"}, "has the shape [3, 1, 1, 1], allowed: "},
      {{.bias = "heads"}, "modifiers.bias: tensor `heads` has the shape [3], allowed: "},
      {{.alibi_slopes = "none"}, "modifiers.alibi_slopes names the tensor `none`"},
      {{.alibi_slopes = "ints"}, "modifiers.alibi_slopes: tensor `ints` is int32, allowed: fp32"},
      {{.alibi_slopes = "four"},
       "modifiers.alibi_slopes: tensor `four` has the shape [4], allowed: [3] or [2, 3]"},
      {{.alibi_slopes = "one_heads"}, "has the shape [1, 3], allowed: [3] or [2, 3]"},
      {{.alibi_slopes = "scalar"}, "has the shape [], allowed: [3] or [2, 3]"},
      {{.sinks = "none"}, "modifiers.sinks names the tensor `none`"},
      {{.sinks = "ints"}, "modifiers.sinks: tensor `ints` is int32"},
      {{.sinks = "samples_heads"},
       "modifiers.sinks: tensor `samples_heads` has the shape [2, 3], allowed: [3]"},
  };
  for (const Row& row : rows) {
    const absl::Status status = Check(row.modifiers);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << row.message;
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.message));
  }
}

TEST(ScoreModifiers, SinksAloneLeaveScoresAsTheyAre) {
  EXPECT_FALSE(ScoreModifiers{.sinks = "heads"}.change_scores());
  EXPECT_TRUE(ScoreModifiers{.softcap = 1}.change_scores());
  EXPECT_TRUE(ScoreModifiers{.bias = "bias"}.change_scores());
  EXPECT_TRUE(ScoreModifiers{.alibi_slopes = "heads"}.change_scores());
}

}  // namespace
}  // namespace attn
