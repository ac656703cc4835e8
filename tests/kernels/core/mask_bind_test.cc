// What MaskProgram::Bind refuses: tensors of the right shape that hold the wrong things.
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/core/limits.h"
#include "kernels/core/mask_program.h"
#include "tests/support/random_masks.h"

namespace attn {
namespace {

struct BadContents {
  const char* name;
  MaskNode root;
  std::function<void(MaskTensors&)> change;
  const char* message;
};

constexpr MaskSizes kBindSizes = {.batch = 2, .heads = 2, .query_len = 20, .key_len = 30};

// Good values of every tensor below.
void AddGoodTensors(MaskTensors& tensors) {
  tensors.Add("positions", DType::kInt64, {2, 30}, std::vector<int64_t>(60));
  tensors.Add("samples", DType::kInt64, {2}, {0, 5});
  tensors.Add("heads", DType::kInt64, {2}, {3, 7});
  tensors.Add("counts", DType::kInt32, {1, 1, 2}, {2, 0});
  tensors.Add("lists", DType::kInt32, {1, 1, 2, 3}, {2, 0, -1, -1, -1, -1});
  tensors.Add("full_counts", DType::kInt64, {1, 2, 2}, {1, 0, 0, 1});
  tensors.Add("full_lists", DType::kInt64, {1, 2, 2, 1}, {1, 9, 9, 1});
}

MaskNode BlocksOfHeads(std::vector<MaskNode> partial = {}) {
  return {
      mask_op::Blocks{16, 10, "counts", "lists", "full_counts", "full_lists", std::move(partial)}};
}

std::vector<BadContents> AllBadContents() {
  return {
      {"PositionTooFar",
       {mask_op::Not{{{mask_op::Remap{"positions", {{mask_op::Causal{}}}}}}}},
       [](MaskTensors& tensors) {
         std::vector<int64_t> positions(60);
         positions[34] = kMaxMaskNumber + 1;
         tensors.Add("positions", DType::kInt64, {2, 30}, positions);
       },
       "mask.expression.not.remap: positions 'positions'[1, 4] is 4503599627370497, allowed: "
       "-4503599627370496 to 4503599627370496"},
      {"LeftPaddingTooFar",
       {mask_op::Chunked{4, "samples"}},
       [](MaskTensors& tensors) {
         tensors.Add("samples", DType::kInt64, {2}, {0, -kMaxMaskNumber - 1});
       },
       "mask.expression.chunked: left_padding 'samples'[1] is -4503599627370497, allowed: "
       "-4503599627370496 to 4503599627370496"},
      {"NegativeLength",
       {mask_op::Padding{"", "samples"}},
       [](MaskTensors& tensors) {
         tensors.Add("samples", DType::kInt64, {2}, {4, -1});
       },
       "mask.expression.padding: lengths 'samples'[1] is -1, allowed: 0 to 4503599627370496"},
      {"NegativePrefix",
       {mask_op::Any{{{mask_op::Causal{}}, {mask_op::Prefix{0, "samples"}}}}},
       [](MaskTensors& tensors) {
         tensors.Add("samples", DType::kInt64, {2}, {-7, 1});
       },
       "mask.expression.or[1].prefix: lengths 'samples'[0] is -7, allowed: 0 to 4503599627370496"},
      {"NegativeWindow",
       {mask_op::SlidingWindow{0, "heads"}},
       [](MaskTensors& tensors) {
         tensors.Add("heads", DType::kInt32, {2}, {0, -2});
       },
       "mask.expression.sliding_window: window_per_head 'heads'[1] is -2, allowed: 0 to "
       "4503599627370496"},
      {"NegativeCount", BlocksOfHeads(),
       [](MaskTensors& tensors) {
         tensors.Add("counts", DType::kInt32, {1, 1, 2}, {2, -1});
       },
       "mask.expression.blocks: kv_num_blocks 'counts'[0, 0, 1] is -1, allowed: 0 to 3"},
      {"CountBeyondTheList", BlocksOfHeads(),
       [](MaskTensors& tensors) {
         tensors.Add("full_counts", DType::kInt64, {1, 2, 2}, {1, 0, 0, 2});
       },
       "mask.expression.blocks: full_kv_num_blocks 'full_counts'[0, 1, 1] is 2, allowed: 0 to 1"},
      {"BlockOutOfRange", BlocksOfHeads(),
       [](MaskTensors& tensors) {
         tensors.Add("lists", DType::kInt32, {1, 1, 2, 3}, {2, 3, -1, -1, -1, -1});
       },
       "mask.expression.blocks: kv_indices 'lists'[0, 0, 0, 1] is 3, allowed: 0 to 2"},
      {"NegativeBlock", BlocksOfHeads(),
       [](MaskTensors& tensors) {
         tensors.Add("lists", DType::kInt32, {1, 1, 2, 3}, {-1, 0, -1, -1, -1, -1});
       },
       "mask.expression.blocks: kv_indices 'lists'[0, 0, 0, 0] is -1, allowed: 0 to 2"},
      {"BlockTwice", BlocksOfHeads(),
       [](MaskTensors& tensors) {
         tensors.Add("lists", DType::kInt32, {1, 1, 2, 3}, {2, 2, -1, -1, -1, -1});
       },
       "mask.expression.blocks: kv_indices 'lists'[0, 0, 0, 1] is 2, allowed: a block that the row "
       "has not listed before, partial or full"},
      {"BlockPartialAndFull", BlocksOfHeads(),
       [](MaskTensors& tensors) {
         tensors.Add("full_lists", DType::kInt64, {1, 2, 2, 1}, {0, 9, 9, 1});
       },
       "mask.expression.blocks: full_kv_indices 'full_lists'[0, 0, 0, 0] is 0, allowed: a block "
       "that the row has not listed before, partial or full"},
      {"BlockPartialAndFullApart", BlocksOfHeads({{mask_op::Causal{}}}),
       [](MaskTensors& tensors) {
         tensors.Add("full_lists", DType::kInt64, {1, 2, 2, 1}, {0, 9, 9, 1});
       },
       "mask.expression.blocks: full_kv_indices 'full_lists'[0, 0, 0, 0] is 0, allowed: a block "
       "that the row has not listed before, partial or full"},
      {"FullBlockTwiceApart", BlocksOfHeads({{mask_op::Causal{}}}),
       [](MaskTensors& tensors) {
         tensors.Add("full_counts", DType::kInt64, {1, 2, 2}, {1, 0, 0, 2});
         tensors.Add("full_lists", DType::kInt64, {1, 2, 2, 2}, {1, 9, 9, 9, 9, 9, 1, 1});
       },
       "mask.expression.blocks: full_kv_indices 'full_lists'[0, 1, 1, 1] is 1, allowed: a block "
       "that the row has not listed before, partial or full"},
      {"InsidePartialBlocks", BlocksOfHeads({{mask_op::Padding{"", "samples"}}}),
       [](MaskTensors& tensors) {
         tensors.Add("samples", DType::kInt64, {2}, {4, -1});
       },
       "mask.expression.blocks.padding: lengths 'samples'[1] is -1, allowed: 0 to "
       "4503599627370496"},
  };
}

class RefusedContent : public testing::TestWithParam<BadContents> {};

TEST_P(RefusedContent, IsNamedWithItsElement) {
  MaskTensors tensors;
  AddGoodTensors(tensors);
  const auto expression =
      MaskExpression::Create({GetParam().root}, kBindSizes, tensors.Shapes(), {});
  ASSERT_TRUE(expression.ok()) << expression.status();
  const auto good = MaskProgram::Bind(**expression, tensors.map());
  EXPECT_TRUE(good.ok()) << good.status();
  GetParam().change(tensors);
  const auto program = MaskProgram::Bind(**expression, tensors.map());
  EXPECT_EQ(program.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(program.status().message()), GetParam().message);
}

constexpr auto kRefusedContentName = [](const auto& test) { return std::string(test.param.name); };
INSTANTIATE_TEST_SUITE_P(Tensors, RefusedContent, testing::ValuesIn(AllBadContents()),
                         kRefusedContentName);

// Whose tensors hold what it cannot take.
class Picky : public MaskFunction {
 public:
  const MaskFunctionInfo& info() const override { return info_; }
  absl::StatusOr<std::unique_ptr<BoundMaskFunction>> Bind(
      std::span<const double> arguments, std::span<const TensorView> tensors) const override {
    if (!tensors[0].empty()) return absl::InvalidArgumentError("positions: not these");
    return StripesFunction().Bind(arguments, {});
  }

 private:
  MaskFunctionInfo info_{.name = "picky", .origin = "here.so", .description = "picky"};
};

TEST(MaskBind, TellsWhatAFunctionSaysOfItsTensors) {
  MaskTensors tensors;
  AddGoodTensors(tensors);
  const Picky picky;
  const auto expression = MaskExpression::Create(
      {{mask_op::Function{"picky", {3, 1}, {"positions"}}}}, kBindSizes, tensors.map(), {&picky});
  ASSERT_TRUE(expression.ok()) << expression.status();  // Before the payload counts.
  const auto program = MaskProgram::Bind(**expression, tensors.map());
  EXPECT_EQ(std::string(program.status().message()),
            "mask.expression.function: picky: positions: not these");
}

TEST(MaskBind, ReadsTensorsThatLieAtOddAddresses) {
  std::vector<std::byte> bytes(1 + 8 * 4);
  for (size_t i = 0; i < 8; ++i) bytes[1 + 4 * i] = static_cast<std::byte>(i / 3);
  TensorMap tensors;
  tensors["ids"] = {bytes.data() + 1, DType::kInt32,
                    TensorLayout::Contiguous(std::vector<int64_t>{1, 8})};
  const auto expression =
      MaskExpression::Create({{mask_op::Packed{"ids"}}}, {1, 1, 8, 8}, tensors, {});
  ASSERT_TRUE(expression.ok()) << expression.status();
  const auto program = MaskProgram::Bind(**expression, tensors);
  ASSERT_TRUE(program.ok()) << program.status();
  uint64_t rows[8] = {};
  program->Evaluate(0, 0, {0, 8}, {0, 8}, rows, 1);
  EXPECT_EQ(rows[0], 0b00000111u);
  EXPECT_EQ(rows[5], 0b00111000u);
  EXPECT_EQ(rows[7], 0b11000000u);
}

}  // namespace
}  // namespace attn
