// THE engine of the CPU: blocked online softmax over any plan, implicit or explicit, in fp32.
//
// Phase 0 packs the keys and values that the plan lists (packed_blocks.h). Phase 1 runs units: up
// to kMaxTileRows query rows of one key head against their row of the plan, panel by panel:
// scores, mask, running softmax, values (tile_kernels.h). A unit's result depends on nothing but
// the call and the plan, so neither the number of workers nor the order of tiles shows.
#ifndef ATTN_KERNELS_ENGINES_CPU_PLAN_ENGINE_H_
#define ATTN_KERNELS_ENGINES_CPU_PLAN_ENGINE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/backend.h"
#include "kernels/core/block_plan.h"
#include "kernels/core/run_stats.h"
#include "kernels/core/scratch.h"
#include "kernels/engines/cpu/packed_blocks.h"
#include "kernels/engines/cpu/plan_tokens.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {

// Query rows of one score tile: enough that a panel, read from the second-level cache once a tile,
// costs little beside the arithmetic (64 rows do 32 FLOP a byte).
inline constexpr int64_t kMaxTileRows = 64;

// One call under one plan. Borrows both. Phases, tiles and scratch are those of backend.h; a
// backend's execution offers them as its own, after its planning phases.
class PlanEngine {
 public:
  static constexpr int kPhaseCount = 2;

  // Memory that an engine takes for a dense call in blocks of `block_q` x `block_k` or larger.
  static int64_t DenseBytes(const AttentionProblem& problem, int64_t block_q, int64_t block_k);

  // INTERNAL if the plan does not fit the call, RESOURCE_EXHAUSTED if the system has no memory.
  static absl::StatusOr<std::unique_ptr<PlanEngine>> Create(const AttentionCall& call,
                                                            const Plan& plan);

  Phase phase(int index) const;
  absl::Status RunTile(int phase, int64_t tile, Scratch& scratch);

  // After all tiles.
  RunStats stats() const;

 private:
  // Query rows of a block of the plan, at most kMaxTileRows.
  struct Chunk {
    int64_t query_block = 0;
    TokenRange queries;
  };
  // A chunk of one sample and of `heads_per_unit_` heads from `head` on, which share their keys.
  // Row r of its tiles is query r % queries of head `head` + r / queries.
  struct Unit {
    int64_t b = 0;
    int64_t head = 0;
    int64_t kv_head = 0;
    Chunk chunk;
    int64_t rows = 0;
  };
  struct Workspace;

  PlanEngine(const AttentionCall& call, const Plan& plan, PackedBlocks packed);

  void CutChunks();
  double ListedElements() const;
  Unit UnitAt(int64_t index) const;

  // Each returns the number of score elements computed.
  double RunUnit(const Unit& unit, const Workspace& work) const;
  double RunDenseRow(const Unit& unit, const Workspace& work) const;
  double RunListedRow(const Unit& unit, const Workspace& work) const;
  double RunEntry(const Unit& unit, const PlanEntry& entry, const Workspace& work) const;

  absl::StatusOr<Workspace> TakeWorkspace(Scratch& scratch) const;
  void LoadQueries(const Unit& unit, const Workspace& work) const;
  void StoreRows(const Unit& unit, const Workspace& work) const;

  const AttentionCall& call_;
  const Plan& plan_;
  const TileKernels& kernels_;
  PackedBlocks packed_;
  std::vector<Chunk> chunks_;
  int64_t heads_per_unit_ = 1;
  int64_t unit_count_ = 0;
  int64_t units_per_tile_ = 1;
  double dense_elements_ = 0;
  std::vector<double> tile_elements_;  // Written by each tile, summed in order.
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_PLAN_ENGINE_H_
