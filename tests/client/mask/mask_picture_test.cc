#include "client/mask/mask_picture.h"

#include <png.h>

#include <cstdint>
#include <string>
#include <vector>

#include "client/mask/mask_formats.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/core/mask.h"
#include "kernels/core/mask_expression.h"

namespace attn {
namespace {

using ::testing::HasSubstr;

AttentionCall CallOf(int64_t queries, int64_t keys, MaskSpec spec) {
  AttentionCall call;
  AttentionProblem& problem = call.problem;
  problem.batch = 1;
  problem.heads = problem.kv_heads = 1;
  problem.query_len = queries;
  problem.key_len = keys;
  problem.mask = *IntervalMask::Create(std::move(spec), 1, queries, keys);
  return call;
}

// Every third key, none of an interval.
AttentionCall StripedCall(int64_t queries, int64_t keys, std::vector<uint8_t>* flags) {
  AttentionCall call = CallOf(queries, keys, {.causal = true});
  flags->assign(static_cast<size_t>(keys), 0);
  for (size_t key = 0; key < flags->size(); key += 3) (*flags)[key] = 1;
  const int64_t shape[] = {1, keys};
  call.extra["keep"] = {reinterpret_cast<const std::byte*>(flags->data()), DType::kUint8,
                        TensorLayout::Contiguous(shape)};
  call.problem.expression = *MaskExpression::Create({.root = {mask_op::Padding{.mask = "keep"}}},
                                                    call.problem.sizes(), call.extra, {});
  return call;
}

TEST(MaskPictureTest, CausalElementByElement) {
  const MaskPicture picture =
      *DrawMask(CallOf(4, 4, {.causal = true}), {.block_q = 2, .block_k = 2});
  EXPECT_EQ(MaskText(picture),
            "  ┌────┐\n"
            "0 │█   │\n"
            "  │██  │\n"
            "  │███ │\n"
            "3 │████│\n"
            "  └────┘\n"
            "   0  3\n");
  EXPECT_EQ(picture.visible_elements, 10);
  EXPECT_DOUBLE_EQ(picture.sparsity(), 6.0 / 16);
  EXPECT_EQ(picture.full_blocks, 1);
  EXPECT_EQ(picture.partial_blocks, 2);
  EXPECT_DOUBLE_EQ(picture.block_sparsity(), 1.0 / 4);
}

TEST(MaskPictureTest, CellsHoldTheShareThatIsVisible) {
  const MaskPicture picture =
      *DrawMask(CallOf(4, 6, {.causal = true, .alignment = CausalAlignment::kTopLeft}),
                {.block_q = 3, .block_k = 4, .max_rows = 2, .max_columns = 3});
  EXPECT_THAT(picture.shares, ::testing::ElementsAre(0.75F, 0, 0, 1, 0.75F, 0));
  EXPECT_EQ(picture.visible_elements, 10);
}

TEST(MaskPictureTest, CellsThatDoNotDivideTheMaskAddUpToIt) {
  std::vector<uint8_t> flags;
  const int64_t queries = 203;
  const int64_t keys = 301;
  const AttentionCall call = StripedCall(queries, keys, &flags);
  double visible = 0;
  for (int64_t i = 0; i < queries; ++i) {
    for (int64_t j = 0; j <= i + keys - queries; ++j) visible += flags[static_cast<size_t>(j)];
  }
  for (const int64_t cells : {1, 7, 64, 512}) {
    SCOPED_TRACE(cells);
    const MaskPicture picture =
        *DrawMask(call, {.block_q = 50, .block_k = 70, .max_rows = cells, .max_columns = cells});
    EXPECT_EQ(picture.visible_elements, visible);
    double area = 0;
    for (int64_t row = 0; row < picture.rows; ++row) {
      for (int64_t column = 0; column < picture.columns; ++column) {
        const int64_t cell_queries = picture.query_begin(row + 1) - picture.query_begin(row);
        const int64_t cell_keys = picture.key_begin(column + 1) - picture.key_begin(column);
        area += static_cast<double>(picture.share(row, column)) *
                static_cast<double>(cell_queries * cell_keys);
      }
    }
    EXPECT_NEAR(area, visible, visible * 1e-6);
  }
}

TEST(MaskPictureTest, RefusesWhatIsOutOfRange) {
  const AttentionCall call = CallOf(4, 4, {});
  EXPECT_THAT(std::string(DrawMask(call, {.sample = 1}).status().message()),
              HasSubstr("sample is 1, allowed: 0 to 0"));
  EXPECT_THAT(std::string(DrawMask(call, {.block_k = 0}).status().message()),
              HasSubstr("block_k is 0, allowed: 1 to 65536"));
}

TEST(MaskPictureTest, SvgNamesWhatItShowsAndEscapesIt) {
  const MaskPicture picture = *DrawMask(CallOf(4, 4, {.causal = true}), {});
  const std::string svg = MaskSvg(picture, "4 < 5");
  EXPECT_THAT(svg, HasSubstr("<title>4 &lt; 5</title>"));
  EXPECT_THAT(svg, HasSubstr(">4 &lt; 5</text>"));
  EXPECT_THAT(svg, HasSubstr(">visible 62.50 %, sparsity 37.50 %, block sparsity 0.00 %</text>"));
  // One run a row, all visible.
  size_t runs = 0;
  for (size_t at = svg.find("fill-opacity=\"1.000\""); at != std::string::npos;
       at = svg.find("fill-opacity=\"1.000\"", at + 1)) {
    ++runs;
  }
  EXPECT_EQ(runs, 4);
}

TEST(MaskPictureTest, PngHoldsThePicture) {
  const MaskPicture picture = *DrawMask(CallOf(3, 3, {.causal = true}), {});
  const std::string file = *MaskPng(picture, 2);
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  ASSERT_NE(png_image_begin_read_from_memory(&image, file.data(), file.size()), 0);
  image.format = PNG_FORMAT_GRAY;
  ASSERT_EQ(image.width, 6);
  ASSERT_EQ(image.height, 6);
  std::vector<uint8_t> grey(36);
  ASSERT_NE(png_image_finish_read(&image, nullptr, grey.data(), 0, nullptr), 0);
  for (size_t y = 0; y < 6; ++y) {
    for (size_t x = 0; x < 6; ++x) EXPECT_EQ(grey[y * 6 + x], x / 2 <= y / 2 ? 0 : 255);
  }
}

}  // namespace
}  // namespace attn
