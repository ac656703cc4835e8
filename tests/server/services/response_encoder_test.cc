#include "server/services/response_encoder.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attn {
namespace {

using ::testing::ElementsAre;

TEST(FillMetricsTest, BlockSparsityIsThereWhereThereAreBlocks) {
  const CallRecord record{.sparsity = 0.5};
  attention::v1::CallMetrics metrics;
  FillMetrics(record, std::nullopt, &metrics);
  EXPECT_FALSE(metrics.has_block_sparsity());
  EXPECT_EQ(metrics.sparsity(), 0.5);
  FillMetrics(record, 0.25, &metrics);
  EXPECT_EQ(metrics.block_sparsity(), 0.75);
  FillMetrics(record, 1.0, &metrics);
  EXPECT_TRUE(metrics.has_block_sparsity());
  EXPECT_EQ(metrics.block_sparsity(), 0.0);
}

TEST(LayOutResponseTest, OutputsComeInTheirOrderThenThePlan) {
  ParsedCall call;
  BufferPool buffers(0);
  std::vector<BufferPool::Lease> leases;
  for (const char* name : {"out", "lse", "replicated_out", "replicated_lse", "weights"}) {
    call.outputs.push_back({.name = name, .shape = {2}, .bytes = 8});
    leases.push_back(buffers.Take(8).value());
  }
  BlockPlan plan;
  plan.q_offsets = {0, 2};
  plan.k_offsets = {0, 2};
  plan.row_begin = {0, 1};
  plan.entries = {{.mask = BlockMask::kPredicate}};
  ReplyLedger ledger(1 << 20);
  const ResponseParts parts = LayOutResponse(call, std::move(leases), std::move(plan), &ledger);
  std::vector<std::string> names;
  for (const WireTensor& tensor : parts.tensors) names.push_back(tensor.header.name());
  EXPECT_THAT(
      names, ElementsAre("out", "lse", "replicated_out", "replicated_lse", "weights", "plan_levels",
                         "plan_partial", "plan_q_offsets", "plan_k_offsets"));
  EXPECT_EQ(parts.tensors[6].payload[0][0], std::byte{1}) << "a mask was evaluated inside";
}

}  // namespace
}  // namespace attn
