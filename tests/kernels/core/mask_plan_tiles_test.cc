// Plans of more tokens than a tile holds, and the memory that planning takes.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "kernels/core/limits.h"
#include "kernels/core/mask_planning.h"
#include "kernels/core/mask_program.h"
#include "kernels/core/scratch.h"
#include "tests/support/planning_run.h"
#include "tests/support/random_masks.h"

namespace attn {
namespace {

AttentionCall LongCall(const DrawnMask& mask) {
  AttentionCall call;
  const MaskSizes& sizes = mask.sizes;
  call.problem.batch = sizes.batch;
  call.problem.heads = call.problem.kv_heads = sizes.heads;
  call.problem.query_len = sizes.query_len;
  call.problem.key_len = sizes.key_len;
  call.problem.mask = *IntervalMask::Create({}, sizes.batch, sizes.query_len, sizes.key_len);
  call.problem.expression = mask.Create();
  call.extra = mask.tensors.map();
  return call;
}

// The first tokens, documents, and a window on positions that start anew in each document or are
// drawn; the window is said so often that the expression has `nodes` nodes.
DrawnMask WindowedDocuments(const MaskSizes& sizes, bool drawn_positions, size_t nodes) {
  DrawnMask mask;
  mask.sizes = sizes;
  std::vector<MaskNode> windows(nodes - 6, {mask_op::BidirectionalWindow{700, ""}});
  MaskNode remap = {mask_op::Remap{"positions", {{mask_op::All{std::move(windows)}}}}};
  MaskNode any = {mask_op::Any{{{mask_op::Prefix{100, ""}}, std::move(remap)}}};
  mask.spec.root = {mask_op::All{{std::move(any), {mask_op::Packed{"ids"}}}}};
  std::mt19937_64 random(3);
  std::vector<int64_t> ids;
  std::vector<int64_t> positions;
  for (int64_t key = 0; key < sizes.key_len; ++key) {
    const bool starts = key == 0 || random() % 4000 == 0;
    ids.push_back(key == 0 ? 0 : ids.back() + (starts ? 1 : 0));
    const int64_t next = starts ? 0 : positions.back() + 1;
    positions.push_back(drawn_positions
                            ? static_cast<int64_t>(random() % static_cast<uint64_t>(sizes.key_len))
                            : next);
  }
  mask.tensors.Add("ids", DType::kInt32, {1, sizes.key_len}, ids);
  mask.tensors.Add("positions", DType::kInt32, {1, sizes.key_len}, positions);
  return mask;
}

// Entries of one block row, from every element.
std::vector<PlanEntry> EvaluatedRow(const MaskProgram& program, int64_t query_block,
                                    int64_t block) {
  const int64_t keys = program.sizes().key_len;
  const int64_t words_per_query = (keys + 63) / 64;
  const int64_t begin = query_block * block;
  const int64_t end = std::min(begin + block, program.sizes().query_len);
  std::vector<uint64_t> words(static_cast<size_t>((end - begin) * words_per_query));
  program.Evaluate(0, 0, {begin, end}, {0, keys}, words.data(), words_per_query);
  std::vector<PlanEntry> entries;
  for (int64_t key = 0; key < keys; key += block) {
    const int64_t key_end = std::min(key + block, keys);
    int64_t seen = 0;
    for (int64_t i = 0; i < end - begin; ++i) {
      for (int64_t j = key; j < key_end; ++j) {
        seen += words[static_cast<size_t>(i * words_per_query + j / 64)] >> (j % 64) & 1;
      }
    }
    if (seen == 0) continue;
    const bool full = seen == (end - begin) * (key_end - key);
    entries.push_back({.key_block = static_cast<int32_t>(key / block),
                       .mask = full ? BlockMask::kFull : BlockMask::kPredicate});
  }
  return entries;
}

TEST(MaskPlanTiles, LongPlansAreWhatTheirElementsSay) {
  struct Case {
    MaskSizes sizes;
    bool drawn_positions;
    size_t nodes;
    int64_t block;
  };
  const Case cases[] = {
      {{1, 1, 1500, 20000}, false, 7, 128},  {{1, 1, 1500, 20000}, true, 7, 64},
      {{1, 1, 20000, 1500}, false, 7, 128},  {{1, 1, 3, 40000}, false, 7, 1},
      {{1, 1, 130, 200000}, false, 64, 128},  // Stretches of one row.
      {{1, 1, 130, 200000}, true, 64, 128},
  };
  for (const Case& tested : cases) {
    DrawnMask mask = WindowedDocuments(tested.sizes, tested.drawn_positions, tested.nodes);
    if (tested.sizes.query_len > tested.sizes.key_len) {
      mask = WindowedDocuments({1, 1, tested.sizes.query_len, tested.sizes.query_len},
                               tested.drawn_positions, tested.nodes);
      mask.sizes = tested.sizes;
    }
    SCOPED_TRACE(testing::Message() << tested.sizes.query_len << " x " << tested.sizes.key_len
                                    << ", blocks of " << tested.block);
    const AttentionCall call = LongCall(mask);
    const auto planning = PlanMask(call, {tested.block, tested.block, false});
    const auto planned = RunPlanning(*planning);
    ASSERT_TRUE(planned.ok()) << planned.status();
    ASSERT_TRUE(ValidatePlan(*planned, call.problem).ok());
    const auto& plan = std::get<BlockPlan>(*planned);
    const auto program = MaskProgram::Bind(*call.problem.expression, call.extra);
    ASSERT_TRUE(program.ok()) << program.status();
    for (int64_t row = 0; row < plan.query_blocks(); ++row) {
      const std::vector<PlanEntry> entries(
          plan.entries.begin() + plan.row_begin[static_cast<size_t>(row)],
          plan.entries.begin() + plan.row_begin[static_cast<size_t>(row) + 1]);
      ASSERT_EQ(entries, EvaluatedRow(*program, row, tested.block)) << "row " << row;
    }
  }
}

int64_t AllocatedBytes() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<int64_t>(info.uordblks + info.hblkhd);
}

// The most that is allocated between tiles, the plan and its copy included.
int64_t PlanningBytes(const AttentionCall& call, const MaskPlanOptions& options) {
  Scratch scratch;
  EXPECT_TRUE(scratch.Reserve(1 << 20).ok());
  const int64_t before = AllocatedBytes();
  int64_t most = 0;
  const auto look = [&] { most = std::max(most, AllocatedBytes() - before); };
  const auto planning = PlanMask(call, options);
  for (int phase = 0; phase < planning->phase_count(); ++phase) {
    const int64_t tiles = planning->tiles(phase);
    for (int64_t tile = 0; tile < tiles; ++tile) {
      look();
      scratch.Reset();
      EXPECT_TRUE(planning->RunTile(phase, tile, scratch).ok());
    }
    look();
  }
  const auto plan = planning->Take();
  look();
  return most;
}

TEST(MaskPlanTiles, PlanningTakesNoMoreMemoryThanIsAnnounced) {
  constexpr int64_t kNodesAndHeaders = 64 << 10;
  const MaskSizes shapes[] = {{1, 1, 300, 20000}, {300, 1, 20, 30}, {3, 1, 64, 9000}};
  for (const MaskSizes& sizes : shapes) {
    for (uint64_t seed = 0; seed < 15; ++seed) {
      const DrawnMask mask = DrawMask(seed, sizes);
      const AttentionCall call = LongCall(mask);
      for (const MaskPlanOptions& options : {MaskPlanOptions{128, 128, true}, {64, 32, false}}) {
        EXPECT_LE(PlanningBytes(call, options),
                  MaskPlanBytes(call.problem, options) + kNodesAndHeaders)
            << mask.Describe();
      }
    }
  }
}

TEST(MaskPlanTiles, NodesWithoutTablesAreNotChargedForAny) {
  const MaskSizes sizes = {60000, 1, 1, 1};
  DrawnMask mask;
  mask.sizes = sizes;
  mask.spec.root = {mask_op::All{std::vector<MaskNode>(56, {mask_op::Chunked{3, "left_padding"}})}};
  mask.tensors.Add("left_padding", DType::kInt32, {sizes.batch},
                   std::vector<int64_t>(static_cast<size_t>(sizes.batch), 1));
  const AttentionCall call = LongCall(mask);
  EXPECT_LT(MaskPlanBytes(call.problem, {}), int64_t{64} << 20);
}

}  // namespace
}  // namespace attn
