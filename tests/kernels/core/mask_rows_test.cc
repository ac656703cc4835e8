// IntervalMask of rows one by one.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "kernels/core/block_plan.h"
#include "kernels/core/mask.h"
#include "tests/support/mask_oracle.h"

namespace attn {
namespace {

using Row = IntervalMask::Row;

std::vector<Row> DrawRows(int64_t count, int64_t key_len, std::mt19937_64& random) {
  std::uniform_int_distribution<int32_t> key(0, static_cast<int32_t>(key_len));
  std::vector<Row> rows;
  for (int64_t i = 0; i < count; ++i) {
    const int32_t a = key(random);
    const int32_t b = key(random);
    rows.push_back(a == b ? Row{} : Row{std::min(a, b), std::max(a, b)});
  }
  return rows;
}

TEST(MaskRows, AnswersAreThoseOfTheSpecThatTheRowsComeFrom) {
  std::mt19937_64 random(99);
  for (int round = 0; round < 500; ++round) {
    const MaskCase drawn = RandomMaskCase(random);
    SCOPED_TRACE(drawn.Describe());
    const IntervalMask spec = drawn.Create();
    std::vector<Row> rows;
    for (int64_t b = 0; b < drawn.batch; ++b) {
      for (int64_t i = 0; i < drawn.query_len; ++i) {
        const KeyInterval seen = spec.VisibleKeys(b, i);
        rows.push_back({static_cast<int32_t>(seen.begin), static_cast<int32_t>(seen.end)});
      }
    }
    const IntervalMask mask =
        IntervalMask::FromRows(rows, drawn.batch, drawn.batch, drawn.query_len, drawn.key_len);
    ASSERT_EQ(mask.VisibleElements(), spec.VisibleElements());
    for (int64_t b = 0; b < drawn.batch; ++b) {
      ASSERT_EQ(mask.VisibleElements(b), spec.VisibleElements(b));
      int64_t seen = 0;
      for (int64_t i = 0; i < drawn.query_len; ++i) seen += spec.VisibleKeys(b, i).size();
      ASSERT_EQ(spec.VisibleElements(b), seen);
      for (int64_t begin = 0; begin < drawn.query_len; ++begin) {
        ASSERT_EQ(mask.VisibleKeys(b, begin), spec.VisibleKeys(b, begin));
        for (int64_t end = begin; end <= drawn.query_len; ++end) {
          const IntervalMask::Bounds expected = spec.VisibleKeys(b, begin, end);
          const IntervalMask::Bounds bounds = mask.VisibleKeys(b, begin, end);
          ASSERT_EQ(bounds.any, expected.any);
          ASSERT_EQ(bounds.all, expected.all);
        }
      }
    }
  }
}

TEST(MaskRows, OneSampleOfRowsIsThatOfAllSamples) {
  const IntervalMask mask = IntervalMask::FromRows({{0, 1}, {0, 3}}, 1, 4, 2, 5);
  EXPECT_FALSE(mask.per_sample());
  EXPECT_EQ(mask.VisibleKeys(3, 1), (KeyInterval{0, 3}));
  EXPECT_EQ(mask.VisibleElements(), 16);
  EXPECT_EQ(mask.VisibleElements(3), 4);
  const IntervalMask each = IntervalMask::FromRows({{0, 1}, {0, 3}}, 2, 2, 1, 5);
  EXPECT_TRUE(each.per_sample());
  EXPECT_EQ(each.VisibleKeys(1, 0), (KeyInterval{0, 3}));
  EXPECT_EQ(each.VisibleElements(), 4);
}

TEST(MaskRows, ElementsSaturate) {
  constexpr int32_t kKeys = std::numeric_limits<int32_t>::max();
  const std::vector<Row> rows(4, Row{0, kKeys});
  const IntervalMask mask = IntervalMask::FromRows(rows, 1, int64_t{1} << 31, 4, kKeys);
  EXPECT_EQ(mask.VisibleElements(), std::numeric_limits<int64_t>::max());
}

TEST(MaskRows, ARunWithoutGapsEndsWhereRowsPartEvenBackwards) {
  const IntervalMask mask =
      IntervalMask::FromRows({{4, 6}, {}, {6, 8}, {2, 5}, {0, 1}, {9, 10}, {}}, 1, 1, 7, 10);
  EXPECT_EQ(mask.GaplessEnd(0, 0, 7), 4);
  EXPECT_EQ(mask.GaplessEnd(0, 0, 2), 2);
  EXPECT_EQ(mask.GaplessEnd(0, 4, 7), 5);
  EXPECT_EQ(mask.GaplessEnd(0, 5, 7), 7);
  EXPECT_EQ(mask.GaplessEnd(0, 6, 7), 7);
}

// Rows in any order, those of a plan's query block far apart and back again.
TEST(MaskRows, AnImplicitPlanListsTheBlocksThatTheyTouch) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 2000; ++round) {
    const int64_t key_len = 1 + static_cast<int64_t>(random() % 40);
    const int64_t query_len = 1 + static_cast<int64_t>(random() % 12);
    const std::vector<Row> rows = DrawRows(query_len, key_len, random);
    const IntervalMask mask = IntervalMask::FromRows(rows, 1, 1, query_len, key_len);
    const int64_t block_q = 1 + static_cast<int64_t>(random() % 5);
    const int64_t block_k = 1 + static_cast<int64_t>(random() % 5);
    const BlockPlan plan = ImplicitPlan{block_q, block_k, &mask}.Materialise();
    ASSERT_TRUE(plan.Validate(1, 1, query_len, key_len).ok());
    std::vector<PlanEntry> expected;
    for (int64_t q = 0; q < plan.query_blocks(); ++q) {
      for (int64_t k = 0; k < plan.key_blocks(); ++k) {
        bool any = false;
        bool all = true;
        for (int64_t i = q * block_q; i < std::min((q + 1) * block_q, query_len); ++i) {
          for (int64_t j = k * block_k; j < std::min((k + 1) * block_k, key_len); ++j) {
            const Row& row = rows[static_cast<size_t>(i)];
            const bool seen = row.begin <= j && j < row.end;
            any = any || seen;
            all = all && seen;
          }
        }
        if (any) {
          expected.push_back({.key_block = static_cast<int32_t>(k),
                              .mask = all ? BlockMask::kFull : BlockMask::kPredicate});
        }
      }
    }
    ASSERT_EQ(plan.entries, expected) << "round " << round;
  }
}

TEST(Mask, EndAlignedKeyCountsFromTheLastKeyOfTheSampleOrSequence) {
  const auto plain = IntervalMask::Create({}, 1, 3, 5);
  EXPECT_EQ(plain->EndAlignedKey(0, 0), 2);
  EXPECT_EQ(plain->EndAlignedKey(0, 2), 4);
  const auto top_left =
      IntervalMask::Create({.causal = true, .alignment = CausalAlignment::kTopLeft}, 1, 3, 5);
  EXPECT_EQ(top_left->EndAlignedKey(0, 2), 4);  // Whatever the alignment of the mask is.
  const auto more_queries = IntervalMask::Create({}, 1, 5, 3);
  EXPECT_EQ(more_queries->EndAlignedKey(0, 0), -2);
  const auto lengths = IntervalMask::Create({.q_lengths = {3, 2}, .k_lengths = {4, 5}}, 2, 3, 5);
  EXPECT_EQ(lengths->EndAlignedKey(0, 2), 3);
  EXPECT_EQ(lengths->EndAlignedKey(1, 0), 3);
  const auto packed =
      IntervalMask::Create({.cu_seqlens_q = {0, 2, 2, 5}, .cu_seqlens_k = {0, 3, 4, 9}}, 1, 5, 9);
  EXPECT_EQ(packed->EndAlignedKey(0, 1), 2);
  EXPECT_EQ(packed->EndAlignedKey(0, 2), 6);
}

}  // namespace
}  // namespace attn
