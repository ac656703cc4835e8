#include "kernels/core/block_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/core/attention_problem.h"
#include "tests/kernels/core/evaluated_mask.h"
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
                         .mask = all ? BlockMask::kFull : BlockMask::kPredicate});
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
  EXPECT_THAT(row, ElementsAre(PlanEntry{.key_block = 0, .mask = BlockMask::kPredicate},
                               PlanEntry{.key_block = 3, .mask = BlockMask::kPredicate}));
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
                  {.key_block = 0, .mask = BlockMask::kPredicate}};
  plan.bit_tiles.resize(5);  // 2 rows of two words, 1 row of one.
  return plan;
}

struct BrokenCase {
  std::string name;
  std::function<void(BlockPlan&)> damage;
  std::string text;
};

class BrokenPlans : public testing::TestWithParam<BrokenCase> {};

TEST_P(BrokenPlans, AreRefusedWithFieldIndexValueAndWhatIsAllowed) {
  ASSERT_TRUE(ValidPlan().Validate(2, 2, 3, 72).ok());
  BlockPlan plan = ValidPlan();
  GetParam().damage(plan);
  const absl::Status status = plan.Validate(2, 2, 3, 72);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("block plan: " + GetParam().text));
}

std::vector<BrokenCase> BrokenSizes() {
  return {
      {"batch", [](BlockPlan& plan) { plan.batch = 3; }, "batch is 3, allowed: 1 or 2"},
      {"batch_zero", [](BlockPlan& plan) { plan.batch = 0; }, "batch is 0, allowed: 1 or 2"},
      {"batch_negative", [](BlockPlan& plan) { plan.batch = -2; }, "batch is -2, allowed: 1 or 2"},
      {"heads", [](BlockPlan& plan) { plan.heads = 4; }, "heads is 4, allowed: 1 or 2"},
      {"heads_zero", [](BlockPlan& plan) { plan.heads = 0; }, "heads is 0, allowed: 1 or 2"},
      {"permutation_size", [](BlockPlan& plan) { plan.q_permutation = {0}; },
       "q_permutation has 1 values, allowed: none or 3"},
      {"permutation_twice",
       [](BlockPlan& plan) {
         plan.q_permutation = {0, 1, 1};
       },
       "q_permutation[2] is 1 again, allowed: each token once"},
      {"permutation_negative", [](BlockPlan& plan) { plan.k_permutation.assign(72, -1); },
       "k_permutation[0] is -1, allowed: 0 to 71"},
      {"permutation_above",
       [](BlockPlan& plan) {
         plan.q_permutation = {2, 1, 3};
       },
       "q_permutation[2] is 3, allowed: 0 to 2"},
  };
}

std::vector<BrokenCase> BrokenOffsets() {
  return {
      {"q_offsets_missing", [](BlockPlan& plan) { plan.q_offsets.clear(); },
       "q_offsets has 0 values, allowed: one a block and the end"},
      {"k_offsets_missing", [](BlockPlan& plan) { plan.k_offsets.clear(); },
       "k_offsets has 0 values, allowed: one a block and the end"},
      {"offsets_without_a_block", [](BlockPlan& plan) { plan.k_offsets = {0}; },
       "k_offsets has 1 values, allowed: one a block and the end"},
      {"offsets_start", [](BlockPlan& plan) { plan.q_offsets[0] = 1; },
       "q_offsets[0] is 1, allowed: 0"},
      {"offsets_start_below", [](BlockPlan& plan) { plan.q_offsets[0] = -1; },
       "q_offsets[0] is -1, allowed: 0"},
      {"offsets_end_before", [](BlockPlan& plan) { plan.k_offsets[2] = 71; },
       "k_offsets[2] is 71, allowed: the number of tokens, 72"},
      {"offsets_end_beyond", [](BlockPlan& plan) { plan.k_offsets[2] = 73; },
       "k_offsets[2] is 73, allowed: the number of tokens, 72"},
      {"empty_block",
       [](BlockPlan& plan) {
         plan.k_offsets = {0, 70, 70, 72};
       },
       "k_offsets: block 1 has 0 tokens, allowed: 1 to 65536"},
      {"offsets_fall",
       [](BlockPlan& plan) {
         plan.k_offsets = {0, 74, 72};
       },
       "k_offsets: block 1 has -2 tokens, allowed: 1 to 65536"},
      {"huge_block",
       [](BlockPlan& plan) {
         plan.k_offsets = {0, std::numeric_limits<int32_t>::max()};
       },
       "k_offsets: block 0 has 2147483647 tokens, allowed: 1 to 65536"},
      // The difference of the last two is beyond int32.
      {"offsets_overflow",
       [](BlockPlan& plan) {
         plan.q_offsets = {0, 1, std::numeric_limits<int32_t>::min()};
       },
       "q_offsets: block 1 has -2147483649 tokens, allowed: 1 to 65536"},
  };
}

std::vector<BrokenCase> BrokenRows() {
  const std::string rows = "allowed: batch 2 * heads 1 * query blocks 2 + 1";
  return {
      {"row_begin_short", [](BlockPlan& plan) { plan.row_begin.pop_back(); },
       "row_begin has 4 values, " + rows},
      {"row_begin_long", [](BlockPlan& plan) { plan.row_begin.push_back(4); },
       "row_begin has 6 values, " + rows},
      {"row_begin_missing", [](BlockPlan& plan) { plan.row_begin.clear(); },
       "row_begin has 0 values, " + rows},
      {"row_begin_start", [](BlockPlan& plan) { plan.row_begin[0] = 1; },
       "row_begin[0] is 1, allowed: 0"},
      {"row_begin_negative", [](BlockPlan& plan) { plan.row_begin[1] = -1; },
       "row_begin[1] is -1, allowed: at least the one before, 0"},
      {"row_begin_falls",
       [](BlockPlan& plan) {
         plan.row_begin = {0, 3, 2, 3, 4};
       },
       "row_begin[2] is 2, allowed: at least the one before, 3"},
      {"row_begin_end_before", [](BlockPlan& plan) { plan.row_begin.back() = 3; },
       "row_begin[4] is 3, allowed: the number of entries, 4"},
      {"row_begin_end_beyond", [](BlockPlan& plan) { plan.row_begin.back() = 5; },
       "row_begin[4] is 5, allowed: the number of entries, 4"},
      {"no_entries", [](BlockPlan& plan) { plan.entries.clear(); },
       "row_begin[4] is 4, allowed: the number of entries, 0"},
  };
}

std::vector<BrokenCase> BrokenEntries() {
  return {
      {"key_block_beyond", [](BlockPlan& plan) { plan.entries[1].key_block = 2; },
       "entries[1].key_block is 2, allowed: 0 to 1"},
      {"key_block_negative", [](BlockPlan& plan) { plan.entries[3].key_block = -1; },
       "entries[3].key_block is -1, allowed: 0 to 1"},
      {"key_blocks_unsorted", [](BlockPlan& plan) { std::swap(plan.entries[0], plan.entries[1]); },
       "entries[1].key_block is 0, allowed: above the one before it in its row, 1"},
      {"key_block_twice", [](BlockPlan& plan) { plan.entries[1].key_block = 0; },
       "entries[1].key_block is 0, allowed: above the one before it in its row, 0"},
      {"level_zero", [](BlockPlan& plan) { plan.entries[1].level = 0; },
       "entries[1].level is 0, allowed: 1 to 127"},
      {"level_negative", [](BlockPlan& plan) { plan.entries[1].level = -4; },
       "entries[1].level is -4, allowed: 1 to 127"},
      {"level_large", [](BlockPlan& plan) { plan.entries[1].level = 128; },
       "entries[1].level is 128, allowed: 1 to 127"},
      {"level_with_interval", [](BlockPlan& plan) { plan.entries[1].mask = BlockMask::kPredicate; },
       "entries[1].mask is 1 at level 2, allowed: full, 0"},
      {"level_with_bits", [](BlockPlan& plan) { plan.entries[2].level = 3; },
       "entries[2].mask is 2 at level 3, allowed: full, 0"},
      {"mask_unknown", [](BlockPlan& plan) { plan.entries[3].mask = static_cast<BlockMask>(3); },
       "entries[3].mask is 3, allowed: 0 to 2"},
      {"bits_missing", [](BlockPlan& plan) { plan.entries[0].bits = -1; },
       "entries[0].bits is -1, allowed: a tile of 4 words within the 5 of bit_tiles"},
      {"bits_past_the_end", [](BlockPlan& plan) { plan.entries[2].bits = 5; },
       "entries[2].bits is 5, allowed: a tile of 1 words within the 5 of bit_tiles"},
      {"bits_across_the_end", [](BlockPlan& plan) { plan.entries[0].bits = 2; },
       "entries[0].bits is 2, allowed: a tile of 4 words within the 5 of bit_tiles"},
      {"bits_overflow",
       [](BlockPlan& plan) { plan.entries[0].bits = std::numeric_limits<int64_t>::max(); },
       "entries[0].bits is 9223372036854775807, allowed: a tile of 4 words"},
      {"no_bit_tiles", [](BlockPlan& plan) { plan.bit_tiles.clear(); },
       "entries[0].bits is 0, allowed: a tile of 4 words within the 0 of bit_tiles"},
  };
}

std::string NameOf(const testing::TestParamInfo<BrokenCase>& tested) { return tested.param.name; }

INSTANTIATE_TEST_SUITE_P(Sizes, BrokenPlans, testing::ValuesIn(BrokenSizes()), NameOf);
INSTANTIATE_TEST_SUITE_P(Offsets, BrokenPlans, testing::ValuesIn(BrokenOffsets()), NameOf);
INSTANTIATE_TEST_SUITE_P(Rows, BrokenPlans, testing::ValuesIn(BrokenRows()), NameOf);
INSTANTIATE_TEST_SUITE_P(Entries, BrokenPlans, testing::ValuesIn(BrokenEntries()), NameOf);

TEST(BlockPlan, CountsWhoseProductOverflowsAreRefused) {
  constexpr int64_t kHuge = int64_t{1} << 31;
  BlockPlan plan = ValidPlan();
  plan.batch = kHuge;
  plan.heads = kHuge;  // With two query blocks 2^63 rows.
  const absl::Status status = plan.Validate(kHuge, kHuge, 3, 72);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("row_begin has 5 values, allowed: batch 2147483648 * heads 2147483648 * "
                        "query blocks 2 + 1"));
}

TEST(BlockPlan, TokensBeyondInt32AreNotCoveredByAnyOffsets) {
  constexpr int64_t kTokens = int64_t{1} << 32;  // 0, were it cut to int32.
  BlockPlan plan = ValidPlan();
  plan.q_permutation.clear();
  EXPECT_EQ(plan.Validate(2, 2, kTokens + 3, 72).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(plan.Validate(2, 2, 3, kTokens + 72).code(), absl::StatusCode::kInvalidArgument);
}

TEST(BlockPlan, SmallestAndLargestBlocksAreTaken) {
  const auto key_blocks = [](std::vector<int32_t> offsets) {
    return BlockPlan{.q_offsets = {0, 1}, .k_offsets = std::move(offsets), .row_begin = {0, 0}};
  };
  EXPECT_TRUE(key_blocks({0, 65536, 65537}).Validate(1, 1, 1, 65537).ok());
  EXPECT_FALSE(key_blocks({0, 65537}).Validate(1, 1, 1, 65537).ok());
}

AttentionProblem ProblemOf(const IntervalMask& mask) {
  AttentionProblem problem;
  problem.batch = mask.batch();
  problem.heads = problem.kv_heads = 2;
  problem.query_len = mask.query_len();
  problem.key_len = mask.key_len();
  problem.head_dim = problem.value_dim = 8;
  problem.mask = mask;
  return problem;
}

TEST(ValidatePlan, RefusesImplicitPlansThatDoNotFit) {
  const IntervalMask mask = *IntervalMask::Create({.causal = true}, 2, 30, 40);
  const IntervalMask other_batch = *IntervalMask::Create({.causal = true}, 3, 30, 40);
  const IntervalMask other_queries = *IntervalMask::Create({.causal = true}, 2, 31, 40);
  const IntervalMask other_keys = *IntervalMask::Create({.causal = true}, 2, 30, 41);
  const IntervalMask none;
  struct Row {
    ImplicitPlan plan;
    std::string text;
  };
  const Row rows[] = {
      {{.block_q = 0, .mask = &mask}, "block_q is 0, allowed: 1 to 65536"},
      {{.block_k = 0, .mask = &mask}, "block_k is 0, allowed: 1 to 65536"},
      {{.block_k = -64, .mask = &mask}, "block_k is -64, allowed: 1 to 65536"},
      {{.block_q = 65537, .mask = &mask}, "block_q is 65537, allowed: 1 to 65536"},
      {{.block_k = std::numeric_limits<int64_t>::max(), .mask = &mask},
       "block_k is 9223372036854775807, allowed: 1 to 65536"},
      {{.mask = nullptr}, "mask is missing, allowed: the problem's"},
      {{.mask = &none}, "mask is over 0 samples, allowed: the problem's, 2"},
      {{.mask = &other_batch}, "mask is over 3 samples, allowed: the problem's, 2"},
      {{.mask = &other_queries}, "mask is over 31 queries, allowed: the problem's, 30"},
      {{.mask = &other_keys}, "mask is over 41 keys, allowed: the problem's, 40"},
  };
  const AttentionProblem problem = ProblemOf(mask);
  EXPECT_TRUE(ValidatePlan(ImplicitPlan{.mask = &problem.mask}, problem).ok());
  EXPECT_TRUE(ValidatePlan(ImplicitPlan{.mask = &mask}, problem).ok()) << "of which it is a copy";
  for (const Row& row : rows) {
    const absl::Status status = ValidatePlan(row.plan, problem);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << row.text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("block plan: " + row.text));
  }
}

TEST(ValidatePlan, HoldsExplicitPlansAgainstTheProblem) {
  const AttentionProblem problem = ProblemOf(*IntervalMask::Create({}, 2, 3, 72));
  BlockPlan plan = ValidPlan();
  EXPECT_TRUE(ValidatePlan(plan, problem).ok());
  plan.heads = 3;
  EXPECT_EQ(ValidatePlan(plan, problem).code(), absl::StatusCode::kInvalidArgument);
}

// A program that tells neither samples nor heads apart, or one of them.
MaskProgram ProgramOver(const MaskSizes& sizes, bool per_sample = false, bool per_head = false) {
  DrawnMask mask;
  mask.sizes = sizes;
  mask_op::All root;
  root.args.push_back({mask_op::Causal{}});
  if (per_sample) {
    root.args.push_back({mask_op::Padding{"", "lengths"}});
    mask.tensors.Add("lengths", DType::kInt32, {sizes.batch},
                     std::vector<int64_t>(static_cast<size_t>(sizes.batch), 2));
  }
  if (per_head) {
    root.args.push_back({mask_op::SlidingWindow{.per_head = "windows"}});
    mask.tensors.Add("windows", DType::kInt32, {sizes.heads},
                     std::vector<int64_t>(static_cast<size_t>(sizes.heads), 4));
  }
  mask.spec.root = {std::move(root)};
  return Bound(mask);
}

TEST(ValidatePlan, RefusesAMaskOrAProgramThatDoesNotFit) {
  const IntervalMask mask = *IntervalMask::Create({}, 2, 3, 72);
  const IntervalMask lengths = *IntervalMask::Create({.k_lengths = {5, 72}}, 2, 3, 72);
  const IntervalMask other_batch = *IntervalMask::Create({}, 1, 3, 72);
  const IntervalMask other_queries = *IntervalMask::Create({}, 2, 2, 72);
  const IntervalMask other_keys = *IntervalMask::Create({}, 2, 3, 71);
  const MaskProgram program = ProgramOver({2, 2, 3, 72});
  const MaskProgram of_samples = ProgramOver({2, 2, 3, 72}, /*per_sample=*/true);
  const MaskProgram of_heads = ProgramOver({2, 2, 3, 72}, false, /*per_head=*/true);
  const MaskProgram samples = ProgramOver({1, 2, 3, 72});
  const MaskProgram heads = ProgramOver({2, 4, 3, 72});
  const MaskProgram queries = ProgramOver({2, 2, 4, 72});
  const MaskProgram keys = ProgramOver({2, 2, 3, 7});
  struct Row {
    int64_t batch;
    int64_t heads;
    const IntervalMask* mask;
    const MaskProgram* program;
    std::string text;  // Empty: it fits.
  };
  const Row rows[] = {
      {1, 1, &mask, &program, ""},
      {2, 1, &lengths, &of_samples, ""},
      {1, 2, &mask, &of_heads, ""},
      {1, 1, &other_batch, nullptr, "mask is over 1 samples, allowed: the problem's, 2"},
      {1, 1, &other_queries, nullptr, "mask is over 2 queries, allowed: the problem's, 3"},
      {1, 1, &other_keys, nullptr, "mask is over 71 keys, allowed: the problem's, 72"},
      {1, 1, &lengths, nullptr, "batch is 1, allowed with a mask that tells them apart: 2"},
      {1, 1, nullptr, &samples, "program is over 1 samples, allowed: the problem's, 2"},
      {1, 1, nullptr, &heads, "program is over 4 heads, allowed: the problem's, 2"},
      {1, 1, nullptr, &queries, "program is over 4 queries, allowed: the problem's, 3"},
      {1, 1, nullptr, &keys, "program is over 7 keys, allowed: the problem's, 72"},
      {1, 2, nullptr, &of_samples, "batch is 1, allowed with a program that tells them apart: 2"},
      {2, 1, nullptr, &of_heads, "heads is 1, allowed with a program that tells them apart: 2"},
  };
  const AttentionProblem problem = ProblemOf(mask);
  for (const Row& row : rows) {
    BlockPlan plan;
    plan.batch = row.batch;
    plan.heads = row.heads;
    plan.q_offsets = {0, 3};
    plan.k_offsets = {0, 72};
    plan.row_begin.assign(static_cast<size_t>(row.batch * row.heads + 1), 0);
    plan.mask = row.mask;
    plan.program = row.program;
    const absl::Status status = ValidatePlan(plan, problem);
    EXPECT_EQ(status.ok(), row.text.empty()) << row.text << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.text));
  }
}

TEST(PredicateOf, IsThePlansOrTheProblems) {
  const AttentionProblem problem = ProblemOf(*IntervalMask::Create({}, 2, 3, 72));
  const IntervalMask own = *IntervalMask::Create({.causal = true}, 2, 3, 72);
  EXPECT_EQ(PredicateOf(ImplicitPlan{.mask = &own}, problem).intervals, &own);
  BlockPlan plan = ValidPlan();
  EXPECT_EQ(PredicateOf(plan, problem).intervals, &problem.mask);
  EXPECT_EQ(PredicateOf(plan, problem).program, nullptr);
  const MaskProgram program = ProgramOver({2, 2, 3, 72});
  plan.mask = &own;
  plan.program = &program;
  EXPECT_EQ(PredicateOf(plan, problem).intervals, &own);
  EXPECT_EQ(PredicateOf(plan, problem).program, &program);
}

}  // namespace
}  // namespace attn
