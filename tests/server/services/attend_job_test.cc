#include "server/services/attend_job.h"

#include <array>
#include <vector>

#include "gtest/gtest.h"
#include "server/executor/refusal.h"

namespace attn {
namespace {

AttentionProblem Problem(MaskSpec mask) {
  AttentionProblem problem;
  problem.batch = mask.packed() ? 1 : 2;
  problem.heads = 3;
  problem.kv_heads = 1;
  problem.query_len = 5;
  problem.key_len = 7;
  problem.head_dim = 8;
  problem.value_dim = 16;
  problem.mask = *IntervalMask::Create(mask, problem.batch, problem.query_len, problem.key_len);
  return problem;
}

TEST(DenseFlopsTest, AreThoseOfEveryScoreElementWhateverTheMask) {
  const double expected = 2.0 * (8 + 16) * 2 * 3 * 5 * 7;
  EXPECT_EQ(DenseFlops(Problem({})), expected);
  MaskSpec causal;
  causal.causal = true;
  EXPECT_EQ(DenseFlops(Problem(causal)), expected);
}

TEST(DenseFlopsTest, OfPackedSequencesAreTheirSum) {
  MaskSpec packed;
  packed.cu_seqlens_q = {0, 1, 1, 5};
  packed.cu_seqlens_k = {0, 2, 3, 7};
  EXPECT_EQ(DenseFlops(Problem(packed)), 2.0 * (8 + 16) * 3 * (1 * 2 + 0 * 1 + 4 * 4));
}

TEST(BytesToPlaceTest, MoreThanAResponseHoldsIsTooLargeForEver) {
  ParsedCall call;
  call.outputs.push_back({.name = "out", .bytes = int64_t{1} << 31});
  const absl::Status status = BytesToPlace(call).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RefusalReason(status), kRefusedTooLarge);
}

TEST(PlaceTensorsTest, TakesWhatBytesToPlaceSaid) {
  alignas(64) const std::array<std::byte, 16> q{};
  const ByteSpan whole(q);
  ParsedCall call;
  const TensorLayout layout;
  call.inputs.push_back({"q", DType::kFloat32, layout, {whole}, 16});
  call.inputs.push_back({"k", DType::kFloat32, layout, {whole.first(3), whole.last(13)}, 16});
  call.inputs.push_back({"v", DType::kInt8, layout, {whole.subspan(1, 8)}, 8});
  call.outputs.push_back({.name = "out", .bytes = 32});
  call.outputs.push_back({.name = "lse", .bytes = 4});
  EXPECT_EQ(*BytesToPlace(call), 16 + 32 + 4);

  BufferPool buffers(0);
  AttentionCall placed;
  std::vector<PayloadCopy> copies;
  CallMemory memory;
  ASSERT_TRUE(PlaceTensors(&call, &buffers, &placed, &copies, &memory).ok());
  EXPECT_EQ(placed.q.data, q.data());
  EXPECT_EQ(placed.v.data, q.data() + 1);
  ASSERT_EQ(memory.inputs.size(), 1u);
  EXPECT_EQ(placed.k.data, memory.inputs[0].data());
  ASSERT_EQ(copies.size(), 1u);
  EXPECT_EQ(copies[0].to, memory.inputs[0].data());
  EXPECT_EQ(copies[0].parts.size(), 2u);
  ASSERT_EQ(memory.outputs.size(), 2u);
  EXPECT_EQ(placed.out.data, memory.outputs[0].data());
  EXPECT_EQ(placed.lse.data, memory.outputs[1].data());
}

TEST(PlaceTensorsTest, EveryOutputHasItsOwnPlace) {
  ParsedCall call;
  for (const char* name : {"out", "lse", "replicated_out", "replicated_lse", "weights"}) {
    call.outputs.push_back({.name = name, .bytes = 8});
  }
  BufferPool buffers(0);
  AttentionCall placed;
  std::vector<PayloadCopy> copies;
  CallMemory memory;
  ASSERT_TRUE(PlaceTensors(&call, &buffers, &placed, &copies, &memory).ok());
  ASSERT_EQ(memory.outputs.size(), 5u);
  const MutableTensorView* views[] = {&placed.out, &placed.lse, &placed.replicated_out,
                                      &placed.replicated_lse, &placed.weights};
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(views[i]->data, memory.outputs[i].data()) << i;
}

TEST(PlaceTensorsTest, TensorsThatFieldsNameAreExtra) {
  const std::array<std::byte, 8> bits{};
  ParsedCall call;
  call.inputs.push_back({"mask", DType::kBits, {}, {ByteSpan(bits).subspan(1, 3)}, 3});
  BufferPool buffers(0);
  AttentionCall placed;
  std::vector<PayloadCopy> copies;
  CallMemory memory;
  ASSERT_TRUE(PlaceTensors(&call, &buffers, &placed, &copies, &memory).ok());
  ASSERT_EQ(placed.extra.count("mask"), 1u);
  EXPECT_EQ(placed.extra.at("mask").data, bits.data() + 1);
}

}  // namespace
}  // namespace attn
