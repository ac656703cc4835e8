#include "kernels/core/tensor_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

#include "kernels/core/float16.h"

namespace attn {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

struct CountCase {
  std::vector<int64_t> dims;
  std::optional<int64_t> count;
};

TEST(CheckedElementCount, ProductOrNothing) {
  const CountCase cases[] = {
      {{}, 1},
      {{7}, 7},
      {{2, 3, 4}, 24},
      {{2, 0, 4}, 0},
      {{kMost}, kMost},
      {{kMost, 1, 1}, kMost},
      {{kMost, 2}, std::nullopt},
      {{int64_t{1} << 32, int64_t{1} << 31}, std::nullopt},
      {{int64_t{1} << 31, int64_t{1} << 31}, int64_t{1} << 62},
      {{int64_t{1} << 32, int64_t{1} << 32, int64_t{1} << 32}, std::nullopt},
      {{kMost, kMost, 0}, 0},
      {{0, kMost, kMost}, 0},
      {{-1}, std::nullopt},
      {{-2, -3}, std::nullopt},
      {{0, -1}, std::nullopt},
      {{std::numeric_limits<int64_t>::min(), 1}, std::nullopt},
  };
  for (const CountCase& count_case : cases) {
    EXPECT_EQ(CheckedElementCount(count_case.dims), count_case.count)
        << ::testing::PrintToString(count_case.dims);
  }
}

TEST(TensorLayout, ContiguousStridesFallFromTheOutermostAxis) {
  const std::vector<int64_t> dims = {2, 3, 5, 7};
  const TensorLayout layout = TensorLayout::Contiguous(dims);
  EXPECT_EQ(layout.rank, 4);
  EXPECT_THAT(std::vector<int64_t>(layout.shape().begin(), layout.shape().end()),
              ElementsAre(2, 3, 5, 7));
  EXPECT_THAT(std::vector<int64_t>(layout.strides.begin(), layout.strides.begin() + 4),
              ElementsAre(105, 35, 7, 1));
  EXPECT_EQ(layout.element_count(), 210);
  EXPECT_EQ(TensorLayout::Contiguous({}).element_count(), 1);
}

// [B, H, S, D] = [2, 2, 3, 4] in memory order `d b s h`: every stride differs and none is 1 but h.
TensorLayout Scattered() {
  TensorLayout layout;
  layout.rank = 4;
  layout.dims = {2, 2, 3, 4};
  layout.strides = {6, 1, 2, 12};
  return layout;
}

TEST(RowConversion, StoreThenLoadGivesTheRowBackInEveryDTypeAndLayout) {
  const std::vector<int64_t> dims = {2, 2, 3, 4};
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    for (const TensorLayout& layout : {TensorLayout::Contiguous(dims), Scattered()}) {
      std::vector<std::byte> memory(static_cast<size_t>(ByteSize(dtype, layout.element_count())));
      const MutableTensorView view = {memory.data(), dtype, layout};
      float next = 0;
      std::vector<float> row(4);
      for (int64_t b = 0; b < 2; ++b) {
        for (int64_t h = 0; h < 2; ++h) {
          for (int64_t s = 0; s < 3; ++s) {
            for (float& value : row) value = next++;
            StoreRow(row.data(), b, h, s, view);
          }
        }
      }
      float expected = 0;  // Up to 48: exact in all three types.
      for (int64_t b = 0; b < 2; ++b) {
        for (int64_t h = 0; h < 2; ++h) {
          for (int64_t s = 0; s < 3; ++s) {
            LoadRow({view.data, view.dtype, view.layout}, b, h, s, row.data());
            for (const float value : row) ASSERT_EQ(value, expected++) << Name(dtype);
          }
        }
      }
    }
  }
}

TEST(RowConversion, StoringRoundsAndTouchesOnlyItsRow) {
  std::vector<std::byte> memory(2 * 3 * 2, std::byte{0x5a});
  const std::vector<int64_t> dims = {1, 2, 1, 3};
  const MutableTensorView view = {memory.data(), DType::kBFloat16, TensorLayout::Contiguous(dims)};
  const float row[] = {1.00390625F, 1.01171875F, -3.0e38F};  // Two ties, and one in range.
  StoreRow(row, 0, 1, 0, view);
  uint16_t stored[3];
  std::memcpy(stored, memory.data() + 6, sizeof(stored));
  EXPECT_THAT(stored, ElementsAre(0x3f80, 0x3f82, FloatToBFloat16(-3.0e38F)));
  EXPECT_THAT(std::vector<std::byte>(memory.begin(), memory.begin() + 6), Each(std::byte{0x5a}));
}

TEST(TensorView, RowPointsAtTheElement) {
  std::vector<float> memory(48);
  std::iota(memory.begin(), memory.end(), 0.0F);
  const TensorView view = {reinterpret_cast<const std::byte*>(memory.data()), DType::kFloat32,
                           Scattered()};
  EXPECT_FALSE(view.empty());
  EXPECT_TRUE(TensorView().empty());
  EXPECT_EQ(*view.row<float>(1, 1, 2), 6 + 1 + 4);
}

}  // namespace
}  // namespace attn
