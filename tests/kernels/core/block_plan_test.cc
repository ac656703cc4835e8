#include "kernels/core/block_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "tests/support/mask_oracle.h"

namespace attn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The row by definition: a block is listed iff some query of it sees one of its keys, and full iff
// all of them see all of its keys.
std::vector<PlanEntry> RowByDefinition(const MaskCase& mask_case, const ImplicitPlan& plan,
                                       int64_t b, int64_t query_block) {
  std::vector<PlanEntry> entries;
  for (int64_t key_block = 0; key_block < plan.key_blocks(); ++key_block) {
    bool any = false;
    bool all = true;
    for (int64_t i = query_block * plan.block_q;
         i < std::min((query_block + 1) * plan.block_q, mask_case.query_len); ++i) {
      for (int64_t j = key_block * plan.block_k;
           j < std::min((key_block + 1) * plan.block_k, mask_case.key_len); ++j) {
        const bool sees = Sees(mask_case, b, i, j);
        any = any || sees;
        all = all && sees;
      }
    }
    if (any) {
      entries.push_back({.key_block = static_cast<int32_t>(key_block),
                         .mask = all ? BlockMask::kFull : BlockMask::kInterval});
    }
  }
  return entries;
}

TEST(ImplicitPlanProperty, RowsAreThoseOfTheDefinition) {
  std::mt19937_64 random(99);
  for (int round = 0; round < 3000; ++round) {
    const MaskCase drawn = RandomMaskCase(random);
    const IntervalMask mask = drawn.Create();
    const ImplicitPlan plan = {.block_q = 1 + round % 7, .block_k = 1 + round % 5, .mask = &mask};
    SCOPED_TRACE(drawn.Describe());
    for (int64_t b = 0; b < drawn.batch; ++b) {
      for (int64_t query_block = 0; query_block < plan.query_blocks(); ++query_block) {
        std::vector<PlanEntry> row;
        plan.AppendRow(b, query_block, &row);
        ASSERT_EQ(row, RowByDefinition(drawn, plan, b, query_block))
            << "blocks " << plan.block_q << "x" << plan.block_k << " sample " << b << " row "
            << query_block;
      }
    }
  }
}

TEST(ImplicitPlanProperty, TheMaterialisedPlanIsValidAndHoldsTheSameRows) {
  std::mt19937_64 random(100);
  for (int round = 0; round < 1000; ++round) {
    const MaskCase drawn = RandomMaskCase(random);
    SCOPED_TRACE(drawn.Describe());
    const IntervalMask mask = drawn.Create();
    const ImplicitPlan implicit = {.block_q = 1 + round % 6, .block_k = 4, .mask = &mask};
    const BlockPlan plan = implicit.Materialise();
    ASSERT_TRUE(plan.Validate(drawn.batch, 8, drawn.query_len, drawn.key_len).ok());
    EXPECT_EQ(plan.heads, 1);
    const bool per_sample = !drawn.spec.q_lengths.empty() || !drawn.spec.k_lengths.empty();
    ASSERT_EQ(plan.batch, per_sample ? drawn.batch : 1);
    for (int64_t b = 0; b < drawn.batch; ++b) {
      for (int64_t query_block = 0; query_block < implicit.query_blocks(); ++query_block) {
        std::vector<PlanEntry> expected;
        implicit.AppendRow(b, query_block, &expected);
        const auto row =
            static_cast<size_t>((per_sample ? b : 0) * plan.query_blocks() + query_block);
        const std::vector<PlanEntry> held(plan.entries.begin() + plan.row_begin[row],
                                          plan.entries.begin() + plan.row_begin[row + 1]);
        ASSERT_EQ(held, expected);
      }
    }
  }
}

TEST(ImplicitPlan, RaggedLastBlocksAreFull) {
  const IntervalMask mask = *IntervalMask::Create({}, 2, 70, 130);
  const BlockPlan plan = ImplicitPlan{.block_q = 64, .block_k = 64, .mask = &mask}.Materialise();
  EXPECT_THAT(plan.q_offsets, ElementsAre(0, 64, 70));
  EXPECT_THAT(plan.k_offsets, ElementsAre(0, 64, 128, 130));
  EXPECT_THAT(plan.row_begin, ElementsAre(0, 3, 6));
  for (const PlanEntry& entry : plan.entries) EXPECT_EQ(entry.mask, BlockMask::kFull);
}

TEST(ImplicitPlan, AppendRowKeepsWhatTheVectorHeld) {
  const IntervalMask mask = *IntervalMask::Create({}, 1, 4, 4);
  std::vector<PlanEntry> entries = {{.key_block = 7}};
  ImplicitPlan{.block_q = 4, .block_k = 4, .mask = &mask}.AppendRow(0, 0, &entries);
  EXPECT_THAT(entries, ElementsAre(PlanEntry{.key_block = 7}, PlanEntry{.key_block = 0}));
}

TEST(ImplicitPlan, KeyBlocksBetweenTwoSequencesThatNoQuerySeesAreNotListed) {
  // The first sequence's query sees key 0 of its 9, the second's key 9.
  const MaskSpec spec = {.causal = true,
                         .alignment = CausalAlignment::kTopLeft,
                         .cu_seqlens_q = {0, 1, 2},
                         .cu_seqlens_k = {0, 9, 12}};
  const IntervalMask mask = *IntervalMask::Create(spec, 1, 2, 12);
  std::vector<PlanEntry> row;
  ImplicitPlan{.block_q = 2, .block_k = 3, .mask = &mask}.AppendRow(0, 0, &row);
  EXPECT_THAT(row, ElementsAre(PlanEntry{.key_block = 0, .mask = BlockMask::kInterval},
                               PlanEntry{.key_block = 3, .mask = BlockMask::kInterval}));
}

// Two samples, one head of the problem's two, queries in blocks of 2 and 1, keys of 70 and 2.
BlockPlan ValidPlan() {
  BlockPlan plan;
  plan.batch = 2;
  plan.heads = 1;
  plan.q_permutation = {2, 0, 1};
  plan.q_offsets = {0, 2, 3};
  plan.k_offsets = {0, 70, 72};
  plan.row_begin = {0, 2, 3, 3, 4};
  plan.entries = {{.key_block = 0, .mask = BlockMask::kBits, .bits = 0},
                  {.key_block = 1, .level = 2},
                  {.key_block = 1, .mask = BlockMask::kBits, .bits = 4},
                  {.key_block = 0, .mask = BlockMask::kInterval}};
  plan.bit_tiles.resize(5);  // 2 rows of two words, 1 row of one.
  return plan;
}

struct BrokenCase {
  std::string name;
  std::function<void(BlockPlan&)> damage;
  std::string text;
};

TEST(BlockPlan, ValidateFindsEachBrokenRule) {
  ASSERT_TRUE(ValidPlan().Validate(2, 2, 3, 72).ok());
  const BrokenCase cases[] = {
      {"batch", [](BlockPlan& plan) { plan.batch = 3; }, "batch is 3, allowed: 1 or 2"},
      {"heads", [](BlockPlan& plan) { plan.heads = 4; }, "heads is 4, allowed: 1 or 2"},
      {"permutation size", [](BlockPlan& plan) { plan.q_permutation = {0}; },
       "q_permutation has 1 values for 3 tokens"},
      {"permutation twice",
       [](BlockPlan& plan) {
         plan.q_permutation = {0, 1, 1};
       },
       "q_permutation holds 1"},
      {"permutation range", [](BlockPlan& plan) { plan.k_permutation.assign(72, -1); },
       "k_permutation holds -1"},
      {"no offsets", [](BlockPlan& plan) { plan.q_offsets.clear(); },
       "q_offsets does not run from 0 to 3"},
      {"offsets start", [](BlockPlan& plan) { plan.q_offsets[0] = 1; },
       "q_offsets does not run from 0 to 3"},
      {"offsets end", [](BlockPlan& plan) { plan.k_offsets[2] = 71; },
       "k_offsets does not run from 0 to 72"},
      {"empty block",
       [](BlockPlan& plan) {
         plan.k_offsets = {0, 70, 70, 72};
       },
       "k_offsets does not ascend"},
      {"row count", [](BlockPlan& plan) { plan.row_begin.pop_back(); },
       "row_begin has 4 values for 4 rows"},
      {"rows end", [](BlockPlan& plan) { plan.row_begin.back() = 3; }, "row_begin does not run up"},
      {"rows fall",
       [](BlockPlan& plan) {
         plan.row_begin = {0, 3, 2, 3, 4};
       },
       "row_begin does not run up"},
      {"key block", [](BlockPlan& plan) { plan.entries[0].key_block = 2; }, "key block 2 of 2"},
      {"order", [](BlockPlan& plan) { std::swap(plan.entries[0], plan.entries[1]); },
       "row 0 lists key block 0 after 1"},
      {"level", [](BlockPlan& plan) { plan.entries[1].level = 0; }, "level 0"},
      {"large level", [](BlockPlan& plan) { plan.entries[1].level = 128; },
       "level 128, allowed: 1 to 127"},
      {"masked level", [](BlockPlan& plan) { plan.entries[1].mask = BlockMask::kInterval; },
       "a block of level 2 is masked"},
      {"bits missing", [](BlockPlan& plan) { plan.entries[0].bits = -1; },
       "bit tile of 4 words at -1 of 5"},
      {"bits outside", [](BlockPlan& plan) { plan.entries[2].bits = 5; },
       "bit tile of 1 words at 5 of 5"},
  };
  for (const BrokenCase& broken : cases) {
    SCOPED_TRACE(broken.name);
    BlockPlan plan = ValidPlan();
    broken.damage(plan);
    const absl::Status status = plan.Validate(2, 2, 3, 72);
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    EXPECT_THAT(std::string(status.message()), HasSubstr(broken.text));
  }
}

}  // namespace
}  // namespace attn
