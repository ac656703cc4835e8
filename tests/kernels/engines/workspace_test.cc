// What flash announces for admission against what an engine takes for a call, over shapes, blocks,
// dtypes and instruction sets. Engines are made and never run: no call has tensors.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "kernels/core/attention_call.h"
#include "kernels/core/mask.h"
#include "kernels/engines/cpu/cpu_device.h"
#include "kernels/engines/cpu/flash_backend.h"
#include "kernels/engines/cpu/plan_engine.h"
#include "kernels/engines/cpu/split_outputs.h"
#include "kernels/engines/cpu/work_split.h"

namespace attn {
namespace {

constexpr int64_t kBlockStep = 16;
constexpr int64_t kLargestBlock = 512;

struct Heads {
  int64_t heads;
  int64_t kv_heads;
};
constexpr Heads kHeads[] = {{1, 1}, {2, 2}, {2, 1}, {3, 3}, {3, 1}, {5, 1}, {9, 1}, {17, 1}};
constexpr int64_t kQueryLens[] = {1,   2,   9,   17,  33,  49,  64,   255, 256,
                                  257, 273, 300, 511, 513, 545, 1025, 1599};
constexpr int64_t kKeyLens[] = {1, 512, 1024, 4096, 8192, 32768};

AttentionCall CallOf(DType dtype, Heads heads, int64_t query_len, int64_t key_len) {
  AttentionCall call;
  AttentionProblem& problem = call.problem;
  problem.batch = 1;
  problem.heads = heads.heads;
  problem.kv_heads = heads.kv_heads;
  problem.query_len = query_len;
  problem.key_len = key_len;
  problem.head_dim = 8;
  problem.value_dim = 256;
  problem.dtype = dtype;
  problem.out_dtype = dtype;
  problem.scale = 1 / std::sqrt(8.0);
  problem.mask = *IntervalMask::Create({}, 1, query_len, key_len);
  return call;
}

// Bytes that the engine holds of the device's workspace.
int64_t BytesTaken(const AttentionCall& call, int64_t block_q, int64_t block_k, CpuDevice& device) {
  const Plan plan =
      ImplicitPlan{.block_q = block_q, .block_k = block_k, .mask = &call.problem.mask};
  const absl::StatusOr<std::unique_ptr<PlanEngine>> engine = PlanEngine::Create(call, plan, device);
  EXPECT_TRUE(engine.ok()) << engine.status();
  return engine.ok() ? (*engine)->workspace_bytes() : 0;
}

// Bytes of that which keep the outputs of splits.
int64_t SplitBytesTaken(const AttentionProblem& problem, int64_t block_q, CpuDevice& device) {
  const Plan plan = ImplicitPlan{.block_q = block_q, .mask = &problem.mask};
  const WorkSplit split(problem, plan);
  if (split.split_count() == 1) return 0;
  const absl::StatusOr<SplitOutputs> outputs =
      SplitOutputs::Create(problem, split, device.workspace);
  EXPECT_TRUE(outputs.ok()) << outputs.status();
  return outputs.ok() ? outputs->bytes() : 0;
}

// Query blocks and lengths decide how rows are split, and what their splits take: by itself within
// its own bound, which what is announced for packed keys would hide.
TEST(Workspace, CoversEveryQueryBlock) {
  const auto device = std::make_shared<CpuDevice>();
  device->isa = CpuIsa::kPortable;
  const std::unique_ptr<Backend> flash = CreateFlashBackend(device);
  for (const Heads heads : kHeads) {
    for (const int64_t query_len : kQueryLens) {
      for (const int64_t key_len : kKeyLens) {
        const AttentionCall call = CallOf(DType::kFloat32, heads, query_len, key_len);
        const int64_t split_bytes = SplitOutputs::DenseBytes(call.problem);
        for (int64_t block_q = kBlockStep; block_q <= kLargestBlock; block_q += kBlockStep) {
          SCOPED_TRACE(testing::Message()
                       << "block_q " << block_q << ", Sq " << query_len << ", Sk " << key_len
                       << ", heads " << heads.heads << " of " << heads.kv_heads);
          const int64_t announced =
              flash->WorkspaceBytes(call.problem, {{"block_q", OptionValue{block_q}}});
          EXPECT_LE(BytesTaken(call, block_q, /*block_k=*/256, *device), announced);
          EXPECT_LE(SplitBytesTaken(call.problem, block_q, *device), split_bytes);
        }
      }
    }
  }
}

// Key blocks, operands and padding decide what packed keys take.
TEST(Workspace, CoversEveryKeyBlockOnEverySet) {
  for (const CpuIsa isa : kAllCpuIsas) {
    const auto device = std::make_shared<CpuDevice>();
    device->isa = isa;
    const std::unique_ptr<Backend> flash = CreateFlashBackend(device);
    for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
      for (const int64_t query_len : {1, 9, 273}) {
        for (const int64_t key_len : {1, 17, 511, 1024, 4096, 32768}) {
          const AttentionCall call = CallOf(dtype, {2, 1}, query_len, key_len);
          for (int64_t block_k = kBlockStep; block_k <= kLargestBlock; block_k += kBlockStep) {
            SCOPED_TRACE(testing::Message()
                         << Name(isa) << " " << Name(dtype) << ", block_k " << block_k << ", Sq "
                         << query_len << ", Sk " << key_len);
            const int64_t taken = BytesTaken(call, /*block_q=*/272, block_k, *device);
            const int64_t announced = flash->WorkspaceBytes(
                call.problem,
                {{"block_q", OptionValue{int64_t{272}}}, {"block_k", OptionValue{block_k}}});
            EXPECT_LE(taken, PlanEngine::DenseBytes(call.problem, *device, 272, block_k));
            EXPECT_LE(taken, announced);
          }
        }
      }
    }
  }
}

// That the figure above is not of nothing: packed, streamed, and streamed with split keys.
TEST(Workspace, OfAnEngineIsWhatItPacksAndSplits) {
  CpuDevice device;
  device.isa = CpuIsa::kPortable;
  // 1024 fp32 keys and values.
  EXPECT_EQ(BytesTaken(CallOf(DType::kFloat32, {1, 1}, 4096, 1024), 64, 256, device),
            1024 * (8 + 256) * 4);
  EXPECT_EQ(BytesTaken(CallOf(DType::kFloat32, {1, 1}, 1, 1), 64, 256, device), 0);
  EXPECT_GT(BytesTaken(CallOf(DType::kFloat32, {1, 1}, 1, 32768), 64, 256, device), 0);
}

}  // namespace
}  // namespace attn
