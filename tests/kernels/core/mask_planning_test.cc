#include "kernels/core/mask_planning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/core/ceil_divide.h"
#include "kernels/core/limits.h"
#include "kernels/core/plan_report.h"
#include "tests/support/mask_oracle.h"
#include "tests/support/planning_run.h"
#include "tests/support/random_masks.h"

namespace attn {
namespace {

using ::testing::HasSubstr;

AttentionCall CallOf(const DrawnMask& mask, const IntervalMask& also) {
  AttentionCall call;
  call.problem.batch = mask.sizes.batch;
  call.problem.heads = mask.sizes.heads;
  call.problem.kv_heads = mask.sizes.heads;
  call.problem.query_len = mask.sizes.query_len;
  call.problem.key_len = mask.sizes.key_len;
  call.problem.mask = also;
  call.problem.expression = mask.Create();
  call.extra = mask.tensors.map();
  return call;
}

// Visibility of every element of a drawn mask, asked once.
class Elements {
 public:
  Elements(const DrawnMask& mask, const MaskCase& also) : sizes_(mask.sizes) {
    for (int64_t b = 0; b < sizes_.batch; ++b) {
      for (int64_t head = 0; head < sizes_.heads; ++head) {
        for (int64_t i = 0; i < sizes_.query_len; ++i) {
          for (int64_t j = 0; j < sizes_.key_len; ++j) {
            sees_.push_back(Sees(also, b, i, j) && mask.Sees(b, head, i, j));
          }
        }
      }
    }
  }

  // The entries of one row of a plan of such blocks.
  std::vector<PlanEntry> Row(int64_t b, int64_t head, int64_t query_block,
                             const MaskPlanOptions& blocks) const {
    std::vector<PlanEntry> entries;
    for (int64_t key = 0; key < sizes_.key_len; key += blocks.block_k) {
      bool any = false;
      bool all = true;
      const int64_t query_end = std::min((query_block + 1) * blocks.block_q, sizes_.query_len);
      for (int64_t i = query_block * blocks.block_q; i < query_end; ++i) {
        for (int64_t j = key; j < std::min(key + blocks.block_k, sizes_.key_len); ++j) {
          const bool seen = sees_[static_cast<size_t>(
              ((b * sizes_.heads + head) * sizes_.query_len + i) * sizes_.key_len + j)];
          any = any || seen;
          all = all && seen;
        }
      }
      if (any) {
        entries.push_back({.key_block = static_cast<int32_t>(key / blocks.block_k),
                           .mask = all ? BlockMask::kFull : BlockMask::kPredicate});
      }
    }
    return entries;
  }

 private:
  MaskSizes sizes_;
  std::vector<bool> sees_;
};

std::vector<PlanEntry> PlanRowOf(const BlockPlan& plan, int64_t b, int64_t head,
                                 int64_t query_block) {
  const int64_t row = ((plan.batch == 1 ? 0 : b) * plan.heads + (plan.heads == 1 ? 0 : head)) *
                          plan.query_blocks() +
                      query_block;
  const auto begin = plan.entries.begin();
  return {begin + plan.row_begin[static_cast<size_t>(row)],
          begin + plan.row_begin[static_cast<size_t>(row) + 1]};
}

void ExpectPlans(const DrawnMask& mask, const MaskCase& also) {
  const MaskSizes& sizes = mask.sizes;
  const Elements elements(mask, also);
  const AttentionCall call = CallOf(mask, also.Create());
  for (const auto& [block_q, block_k] : {std::pair{1, 1}, {3, 5}, {16, 64}, {64, 7}, {128, 128}}) {
    SCOPED_TRACE(testing::Message() << block_q << " x " << block_k);
    const MaskPlanOptions options = {block_q, block_k, /*implicit_intervals=*/block_k == 7};
    const auto planning = PlanMask(call, options);
    const auto planned = RunPlanning(*planning);
    ASSERT_TRUE(planned.ok()) << planned.status();
    ASSERT_TRUE(ValidatePlan(*planned, call.problem).ok());
    if (!options.implicit_intervals) {
      ASSERT_TRUE(std::holds_alternative<BlockPlan>(*planned));
    }
    const BlockPlan plan = ReportedPlan(*planned);
    for (int64_t b = 0; b < sizes.batch; ++b) {
      for (int64_t head = 0; head < sizes.heads; ++head) {
        for (int64_t q = 0; q < plan.query_blocks(); ++q) {
          ASSERT_EQ(PlanRowOf(plan, b, head, q), elements.Row(b, head, q, options))
              << "sample " << b << " head " << head << " query block " << q;
        }
      }
    }
  }
}

TEST(MaskPlanningProperty, EveryPlanIsWhatItsElementsSay) {
  std::mt19937_64 random(77);
  for (uint64_t seed = 0; seed < 1500; ++seed) {
    MaskCase also = RandomMaskCase(random);
    if (seed % 2 == 0) also.spec = {};
    const DrawnMask mask = DrawMask(seed, {also.batch, 2, also.query_len, also.key_len});
    SCOPED_TRACE(mask.Describe() + also.Describe());
    ASSERT_NO_FATAL_FAILURE(ExpectPlans(mask, also));
  }
}

TEST(MaskPlanningProperty, LargerMasksToo) {
  for (uint64_t seed = 2000; seed < 2150; ++seed) {
    const DrawnMask mask = DrawMask(seed);
    const MaskSizes& sizes = mask.sizes;
    SCOPED_TRACE(mask.Describe());
    ASSERT_NO_FATAL_FAILURE(ExpectPlans(mask, {{}, sizes.batch, sizes.query_len, sizes.key_len}));
  }
}

DrawnMask PlainMask(MaskNode root, const MaskSizes& sizes) {
  DrawnMask mask;
  mask.spec.root = std::move(root);
  mask.sizes = sizes;
  return mask;
}

IntervalMask AllKeys(const MaskSizes& sizes) {
  return *IntervalMask::Create({}, sizes.batch, sizes.query_len, sizes.key_len);
}

BlockPlan ListedPlan(const AttentionCall& call, int64_t block) {
  const auto planning = PlanMask(call, {block, block, false});
  return ReportedPlan(*RunPlanning(*planning));
}

TEST(MaskPlanning, SamplesAndHeadsShareRowsWhereNothingTellsThemApart) {
  const MaskSizes sizes = {2, 3, 8, 8};
  const DrawnMask causal = PlainMask({mask_op::Causal{}}, sizes);
  BlockPlan plan = ListedPlan(CallOf(causal, AllKeys(sizes)), 4);
  EXPECT_EQ(plan.batch, 1);
  EXPECT_EQ(plan.heads, 1);

  plan = ListedPlan(CallOf(causal, *IntervalMask::Create({.k_lengths = {4, 8}}, 2, 8, 8)), 4);
  EXPECT_EQ(plan.batch, 2);
  EXPECT_EQ(plan.heads, 1);

  DrawnMask windows = PlainMask({mask_op::SlidingWindow{0, "windows"}}, sizes);
  windows.tensors.Add("windows", DType::kInt32, {3}, {1, 2, 8});
  plan = ListedPlan(CallOf(windows, AllKeys(sizes)), 4);
  EXPECT_EQ(plan.batch, 1);
  EXPECT_EQ(plan.heads, 3);
}

TEST(MaskPlanning, IntervalsStayImplicitOnlyWhereThatIsAskedFor) {
  const MaskSizes sizes = {1, 1, 8, 8};
  const AttentionCall call = CallOf(PlainMask({mask_op::Causal{}}, sizes), AllKeys(sizes));
  const auto implicit = PlanMask(call, {4, 4, true});
  const auto plan = RunPlanning(*implicit);
  ASSERT_TRUE(std::holds_alternative<ImplicitPlan>(*plan));
  EXPECT_EQ(std::get<ImplicitPlan>(*plan).mask->VisibleKeys(0, 3), (KeyInterval{0, 4}));
  const auto listed = PlanMask(call, {4, 4, false});
  const auto listed_plan = RunPlanning(*listed);
  ASSERT_TRUE(std::holds_alternative<BlockPlan>(*listed_plan));
  EXPECT_EQ(std::get<BlockPlan>(*listed_plan).entries.size(), 3U);
  EXPECT_EQ(std::get<BlockPlan>(*listed_plan).program, nullptr);  // The intervals say it all.
  EXPECT_NE(std::get<BlockPlan>(*listed_plan).mask, nullptr);
}

TEST(MaskPlanning, ACallWithoutAnExpressionIsPlannedByItsIntervals) {
  const MaskSizes sizes = {1, 1, 8, 8};
  AttentionCall call = CallOf(PlainMask({mask_op::Causal{}}, sizes),
                              *IntervalMask::Create({.causal = true}, 1, 8, 8));
  call.problem.expression = nullptr;
  EXPECT_EQ(ListedPlan(call, 4).entries,
            (std::vector<PlanEntry>{{.key_block = 0, .mask = BlockMask::kPredicate},
                                    {.key_block = 0},
                                    {.key_block = 1, .mask = BlockMask::kPredicate}}));
}

TEST(MaskPlanning, WhatTensorsHoldIsRefusedInTheFirstPhase) {
  const MaskSizes sizes = {1, 1, 8, 8};
  DrawnMask mask = PlainMask({mask_op::Padding{"", "lengths"}}, sizes);
  mask.tensors.Add("lengths", DType::kInt32, {1}, {-4});
  const AttentionCall call = CallOf(mask, AllKeys(sizes));
  const auto planning = PlanMask(call, {});
  Scratch scratch;
  ASSERT_EQ(planning->tiles(0), 1);
  const absl::Status status = planning->RunTile(0, 0, scratch);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("-4"));
}

TEST(MaskPlanning, AReportHasTheBlocksThatTheCallWants) {
  const MaskSizes sizes = {1, 1, 8, 8};
  AttentionCall call = CallOf(PlainMask({mask_op::Causal{}}, sizes), AllKeys(sizes));
  call.problem.wanted = {.plan = true, .plan_block_q = 2, .plan_block_k = 8};
  const auto planning = PlanReport(call, 4, 4);
  const BlockPlan plan = ReportedPlan(*RunPlanning(*planning));
  EXPECT_EQ(plan.query_blocks(), 4);
  EXPECT_EQ(plan.key_blocks(), 1);
  EXPECT_EQ(plan.mask, nullptr);  // It outlives the planning.
}

TEST(MaskPlanning, ReportsCountHeadsWhereTheExpressionTellsThemApart) {
  const MaskSizes sizes = {1, 2, 8192 * 64, 4096 * 64};  // 2^25 blocks of 64 x 64 a head.
  AttentionCall call = CallOf(PlainMask({mask_op::Causal{}}, sizes), AllKeys(sizes));
  call.problem.wanted.plan = true;
  EXPECT_TRUE(CheckReportedDensePlan(call.problem).ok());
  DrawnMask windows = PlainMask({mask_op::SlidingWindow{0, "windows"}}, {1, 3, 8, 8});
  windows.sizes = {1, 3, sizes.query_len, sizes.key_len};
  windows.tensors.Add("windows", DType::kInt32, {3}, {1, 2, 8});
  call = CallOf(windows, AllKeys(sizes));
  call.problem.wanted.plan = true;
  const absl::Status status = CheckReportedDensePlan(call.problem);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("ask for larger blocks"));
}

TEST(MaskPlanning, MemoryIsAnnouncedWithTheRowsThatSamplesAndHeadsTake) {
  const MaskSizes sizes = {2, 4, 1024, 1024};
  const AttentionCall causal = CallOf(PlainMask({mask_op::Causal{}}, sizes), AllKeys(sizes));
  DrawnMask windows = PlainMask({mask_op::SlidingWindow{0, "windows"}}, sizes);
  windows.tensors.Add("windows", DType::kInt32, {4}, {1, 2, 8, 9});
  const AttentionCall heads = CallOf(windows, AllKeys(sizes));
  const MaskPlanOptions options = {16, 16, false};
  const int64_t shared = MaskPlanBytes(causal.problem, options);
  EXPECT_GE(shared, 64 * 64 * static_cast<int64_t>(sizeof(PlanEntry)));
  EXPECT_GE(MaskPlanBytes(heads.problem, options), 4 * 64 * 64 * 3 * int64_t{16});
  EXPECT_LT(MaskPlanBytes(heads.problem, options, 1000), MaskPlanBytes(heads.problem, options));
  AttentionProblem plain = causal.problem;
  plain.expression = nullptr;
  EXPECT_EQ(MaskPlanBytes(plain, {16, 16, true}), 0);
  AttentionProblem huge = heads.problem;
  huge.heads = huge.query_len = huge.key_len = kMaxDimension;
  EXPECT_EQ(MaskPlanBytes(huge, {1, 1, false}), std::numeric_limits<int64_t>::max());
}

// Causal by a function that counts what it is asked.
class CountedCausal final : public MaskFunction, public BoundMaskFunction {
 public:
  CountedCausal() { info_ = {"counted", "test", "causal", false, false}; }

  const MaskFunctionInfo& info() const override { return info_; }
  absl::StatusOr<std::unique_ptr<BoundMaskFunction>> Bind(
      std::span<const double>, std::span<const TensorView>) const override {
    return std::make_unique<Bound>(*this);
  }
  void Evaluate(int64_t, int64_t, int64_t q, std::span<const int64_t> kv,
                uint8_t* visible) const override {
    elements += static_cast<int64_t>(kv.size());
    for (size_t i = 0; i < kv.size(); ++i) visible[i] = kv[i] <= q && q - kv[i] < 1000 ? 1 : 0;
  }
  MaskExtent Extent(int64_t, int64_t, int64_t q_begin, int64_t q_end, int64_t kv_begin,
                    int64_t kv_end) const override {
    ++extents;
    if (kv_begin >= q_end || q_begin - (kv_end - 1) >= 1000) return MaskExtent::kNone;
    const bool all = kv_end - 1 <= q_begin && q_end - 1 - kv_begin < 1000;
    return all ? MaskExtent::kAll : MaskExtent::kSome;
  }

  mutable std::atomic<int64_t> elements = 0;
  mutable std::atomic<int64_t> extents = 0;

 private:
  struct Bound final : BoundMaskFunction {
    explicit Bound(const CountedCausal& counted) : function(counted) {}
    void Evaluate(int64_t b, int64_t head, int64_t q, std::span<const int64_t> kv,
                  uint8_t* visible) const override {
      function.Evaluate(b, head, q, kv, visible);
    }
    MaskExtent Extent(int64_t b, int64_t head, int64_t q_begin, int64_t q_end, int64_t kv_begin,
                      int64_t kv_end) const override {
      return function.Extent(b, head, q_begin, q_end, kv_begin, kv_end);
    }
    const CountedCausal& function;
  };
  MaskFunctionInfo info_;
};

TEST(MaskPlanning, WorkIsThatOfListedBlocksAndNotOfElements) {
  constexpr int64_t kTokens = 65536;
  const CountedCausal function;
  const MaskSizes sizes = {1, 1, kTokens, kTokens};
  MaskExpressionSpec spec;
  spec.root = {mask_op::Function{"counted", {}, {}}};
  AttentionCall call = CallOf(PlainMask({mask_op::Causal{}}, sizes), AllKeys(sizes));
  call.problem.expression = *MaskExpression::Create(spec, sizes, {}, {&function});
  const BlockPlan plan = ListedPlan(call, 128);
  const auto listed = static_cast<int64_t>(plan.entries.size());
  const int64_t rows = kTokens / 128;
  EXPECT_GT(listed, 8 * rows - 64);
  EXPECT_LT(listed, 10 * rows);
  EXPECT_LE(function.extents, 2 * listed + 4 * rows * 9);  // 9 = log2 of the key blocks.
  EXPECT_LE(function.elements, listed * 128 * 128 / 2);    // The partial ones, of 2^32 elements.
}

}  // namespace
}  // namespace attn
