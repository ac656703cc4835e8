// Plans whose blocks are as long as they may be.
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/core/limits.h"
#include "kernels/engines/cpu/tile_kernels.h"
#include "tests/kernels/engines/conformance.h"
#include "tests/kernels/engines/run_call.h"
#include "tests/support/oracle.h"
#include "tests/support/random_tensors.h"

namespace attn {
namespace {

struct LargeBlocks {
  std::string name;
  int64_t query_len;
  int64_t key_len;
  DType dtype;
};

std::vector<LargeBlocks> LargeBlockCases() {
  return {
      {"keys_streamed_fp32", 3, kMaxBlock, DType::kFloat32},
      {"keys_streamed_bf16", 3, kMaxBlock, DType::kBFloat16},
      {"keys_packed_fp32", kStreamRows + 1, kMaxBlock, DType::kFloat32},
      {"keys_packed_bf16", kStreamRows + 1, kMaxBlock, DType::kBFloat16},
      {"queries_fp32", kMaxBlock, 3, DType::kFloat32},
      {"queries_bf16", kMaxBlock, 3, DType::kBFloat16},
  };
}

// One query block against one key block: it is not split, so that sums are as long as can be.
BlockPlan PlanOfOneEntry(const LargeBlocks& blocks, BlockMask mask) {
  BlockPlan plan = {.q_offsets = {0, static_cast<int32_t>(blocks.query_len)},
                    .k_offsets = {0, static_cast<int32_t>(blocks.key_len)},
                    .row_begin = {0, 1},
                    .entries = {{.mask = mask}}};
  if (mask != BlockMask::kBits) return plan;
  plan.entries[0].bits = 0;
  std::mt19937_64 random(14);
  const int64_t words = blocks.query_len * ((blocks.key_len + 63) / 64);
  for (int64_t i = 0; i < words; ++i) plan.bit_tiles.push_back(random());
  return plan;
}

class LargeBlocksTest : public testing::TestWithParam<LargeBlocks> {};

INSTANTIATE_TEST_SUITE_P(Cases, LargeBlocksTest, testing::ValuesIn(LargeBlockCases()),
                         [](const auto& tested) { return tested.param.name; });

TEST_P(LargeBlocksTest, AgreeWithTheOracleUnderEveryMask) {
  const LargeBlocks& blocks = GetParam();
  // Of many keys it hides the last few, of many queries it leaves the last few alone something.
  OwnedCall call({.heads = 1,
                  .kv_heads = 1,
                  .query_len = blocks.query_len,
                  .key_len = blocks.key_len,
                  .head_dim = 4,
                  .dtype = blocks.dtype,
                  .mask = {.causal = true}});
  for (const BlockMask mask : {BlockMask::kFull, BlockMask::kPredicate, BlockMask::kBits}) {
    const BlockPlan plan = PlanOfOneEntry(blocks, mask);
    const OracleResult oracle = PlanOracle(call.call, plan);
    for (const CpuIsa isa : TestedIsas(blocks.dtype)) {
      // Emulated, an instruction takes microseconds.
      if (isa == CpuIsa::kAmxBf16 && GetAmxSupport() == AmxSupport::kEmulated) continue;
      SCOPED_TRACE(testing::Message() << Name(isa) << ", mask " << static_cast<int>(mask));
      call.PoisonOutputs();
      const absl::StatusOr<RunStats> stats = RunPlan(call.call, plan, isa);
      ASSERT_TRUE(stats.ok()) << stats.status();
      EXPECT_EQ(Disagreement(call, oracle, RoundoffOn(isa, blocks.dtype)), "");
      EXPECT_EQ(stats->computed_elements, oracle.elements);
    }
  }
}

}  // namespace
}  // namespace attn
