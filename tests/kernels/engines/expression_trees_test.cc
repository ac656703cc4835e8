// Drawn mask expressions, whatever they come to, on every engine.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/kernels/engines/engine_test.h"
#include "tests/support/oracle.h"
#include "tests/support/random_masks.h"

namespace attn {
namespace {

// Each block is listed iff an element of it is visible, and full iff all are.
void ExpectBlocksShow(const DrawnMask& drawn, const BlockPlan& plan, int64_t b, int64_t head) {
  const int64_t sample = plan.batch == 1 ? 0 : b;
  const int64_t plan_head = plan.heads == 1 ? 0 : head;
  for (int64_t i = 0; i < plan.query_blocks(); ++i) {
    const auto row =
        static_cast<size_t>((sample * plan.heads + plan_head) * plan.query_blocks() + i);
    std::vector<int> listed(static_cast<size_t>(plan.key_blocks()), 0);  // 1 = partial, 2 = full
    for (int64_t e = plan.row_begin[row]; e < plan.row_begin[row + 1]; ++e) {
      const PlanEntry& entry = plan.entries[static_cast<size_t>(e)];
      listed[static_cast<size_t>(entry.key_block)] = entry.mask == BlockMask::kFull ? 2 : 1;
    }
    for (size_t j = 0; j < listed.size(); ++j) {
      bool any = false;
      bool all = true;
      for (int64_t q = plan.q_offsets[static_cast<size_t>(i)];
           q < plan.q_offsets[static_cast<size_t>(i) + 1]; ++q) {
        for (int64_t k = plan.k_offsets[j]; k < plan.k_offsets[j + 1]; ++k) {
          const bool sees = drawn.Sees(b, head, q, k);
          any = any || sees;
          all = all && sees;
        }
      }
      ASSERT_EQ(listed[j], all ? 2 : (any ? 1 : 0))
          << "block " << i << ", " << j << " of " << b << ", " << head << "; " << drawn.Describe();
    }
  }
}

class ExpressionTrees : public EngineTest {
 protected:
  // Small blocks, so that many are full and many skipped; those of `eager` have no size.
  static OptionMap SmallBlocks(uint64_t seed) {
    OptionMap options;
    const std::string& backend = GetParam().backend;
    if (backend == "eager") return options;
    options["block_q"].value = int64_t{16};
    options[backend == "flex" ? "block_kv" : "block_k"].value =
        backend == "flex" ? static_cast<int64_t>(16 + seed % 9) : int64_t{16};
    return options;
  }
};

INSTANTIATE_TEST_SUITE_P(Engines, ExpressionTrees,
                         testing::ValuesIn(TestedEngines({DType::kFloat32, DType::kBFloat16})),
                         EngineName);

TEST_P(ExpressionTrees, AgreeWithTheOracle) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    DrawnMask drawn = DrawMask(seed);
    CallShape shape = Shape({.batch = drawn.sizes.batch,
                             .heads = drawn.sizes.heads,
                             .kv_heads = seed % 2 == 0 ? 1 : drawn.sizes.heads,
                             .query_len = drawn.sizes.query_len,
                             .key_len = drawn.sizes.key_len,
                             .head_dim = 16,
                             .seed = seed});
    if (seed % 3 == 0) shape.mask.causal = true;
    // Far keys beside a sink weigh too little for fp32: not both.
    if (seed % 4 == 0) shape.modifiers = {.softcap = 3, .sinks = true};
    if (seed % 4 == 1) shape.modifiers = {.slopes_rank = 1};
    if (seed % 5 == 0) shape.modifiers.bias = {1, 1, shape.query_len, shape.key_len};
    OwnedCall call(shape);
    for (const auto& [name, view] : drawn.tensors.map()) call.call.extra[name] = view;
    call.call.problem.expression = drawn.Create();
    if (seed % 7 != 0) call.call.options = SmallBlocks(seed);
    const OracleResult oracle = DenseOracle(call.call);
    const absl::StatusOr<RunResult> result = RunInline(backend(), call.call);
    ASSERT_TRUE(result.ok()) << result.status() << "; " << drawn.Describe();
    ASSERT_EQ(Disagreement(call, oracle, roundoff()), "") << drawn.Describe();
    ASSERT_EQ(result->stats.computed_elements, oracle.elements) << drawn.Describe();
    ASSERT_EQ(result->stats.dense_elements, oracle.elements) << drawn.Describe();
  }
}

// The plan that is returned shows what is visible and nothing else.
TEST_P(ExpressionTrees, AreThePlanThatIsReturned) {
  for (uint64_t seed = 100; seed <= 130; ++seed) {
    DrawnMask drawn = DrawMask(seed);
    OwnedCall call(Shape({.batch = drawn.sizes.batch,
                          .heads = drawn.sizes.heads,
                          .kv_heads = drawn.sizes.heads,
                          .query_len = drawn.sizes.query_len,
                          .key_len = drawn.sizes.key_len,
                          .head_dim = 8,
                          .seed = seed}));
    for (const auto& [name, view] : drawn.tensors.map()) call.call.extra[name] = view;
    call.call.problem.expression = drawn.Create();
    call.call.problem.wanted.plan = true;
    call.call.options = SmallBlocks(seed);
    const absl::StatusOr<RunResult> result = RunInline(backend(), call.call);
    ASSERT_TRUE(result.ok()) << result.status() << "; " << drawn.Describe();
    ASSERT_TRUE(result->plan.has_value());
    const BlockPlan& plan = *result->plan;
    for (int64_t b = 0; b < drawn.sizes.batch; ++b) {
      for (int64_t head = 0; head < drawn.sizes.heads; ++head) {
        ExpectBlocksShow(drawn, plan, b, head);
      }
    }
  }
}

}  // namespace
}  // namespace attn
