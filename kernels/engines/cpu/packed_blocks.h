// Keys and values in the form that the tile kernels read, pooled where a plan asks for it. Packed
// once a call and shared by all query blocks and heads.
#ifndef ATTN_KERNELS_ENGINES_CPU_PACKED_BLOCKS_H_
#define ATTN_KERNELS_ENGINES_CPU_PACKED_BLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/block_plan.h"
#include "kernels/core/buffer_pool.h"
#include "kernels/core/scratch.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {

// Longer blocks are cut into panels of as many tokens as a score tile is wide. 256 keys of 128
// dimensions and their values are 256 KiB in fp32, which stay in the second-level cache while the
// rows of a unit pass. A multiple of the 64 bits of a mask word.
inline constexpr int64_t kPanelTokens = kTileColumns;

// One panel of a packed block; a token is a key with its value, or a pool of them. Behind the last
// token zeros follow up to `padded_tokens`.
struct Panel {
  const std::byte* keys = nullptr;
  const std::byte* values = nullptr;
  int64_t key_group_bytes = 0;    // From one group of tokens of the keys to the next.
  int64_t value_group_bytes = 0;  // From one group of columns of the values to the next.
  int64_t first_token = 0;        // In the block.
  int64_t tokens = 0;
  int64_t padded_tokens = 0;
  bool finite = true;  // No value is infinite or NaN.
};

// The blocks that a plan lists, at the levels it lists, of samples that are not idle. Borrows the
// call, the plan and the pool. Distinct parts may be packed at once; panels may be read when all
// parts are packed.
class PackedBlocks {
 public:
  // Bytes for all keys of a dense call, in blocks of `block_k` or more keys.
  static int64_t DenseBytes(const AttentionProblem& problem, const TileKernels& kernels,
                            int64_t block_k);

  // RESOURCE_EXHAUSTED if the system has no memory.
  static absl::StatusOr<PackedBlocks> Create(const AttentionCall& call, const Plan& plan,
                                             const TileKernels& kernels, BufferPool& pool);

  // Some panels each.
  int64_t tile_count() const;
  absl::Status Pack(int64_t tile, Scratch& scratch);

  int64_t bytes() const { return bytes_.size(); }

  // The block's place here; the plan must list it.
  int64_t SlotOf(int64_t b, int64_t kv_head, int64_t key_block, int64_t level) const;
  int64_t PanelCount(int64_t slot) const;
  Panel PanelAt(int64_t slot, int64_t index) const;

 private:
  struct Slot {
    int64_t b = 0;
    int64_t kv_head = 0;
    int64_t key_block = 0;
    int64_t level = 1;
    int64_t tokens = 0;
    int64_t first_byte = 0;
    int64_t first_panel = 0;
  };

  PackedBlocks(const AttentionCall& call, const Plan& plan, const TileKernels& kernels);

  absl::Status MarkDense(const ImplicitPlan& plan);
  absl::Status MarkListed(const BlockPlan& plan);
  absl::Status MakeIndex();  // Of the levels that are known.
  absl::Status Allocate(BufferPool& pool);
  // `copies` has room for kLaneCount tokens.
  void PackPanel(int64_t panel, std::byte* copies);
  int64_t SlotIndex(int64_t level_index, int64_t b, int64_t kv_head, int64_t key_block) const;

  const AttentionCall* call_;
  const Plan* plan_;
  const TileKernels* kernels_;
  int64_t key_block_count_;
  std::vector<int64_t> levels_;   // Distinct, as first met.
  std::vector<int64_t> slot_of_;  // [levels, B, G, key blocks]
  std::vector<Slot> slots_;
  std::vector<int64_t> slot_of_panel_;
  std::vector<uint8_t> finite_;  // Of each panel.
  BufferPool::Lease bytes_;
  int64_t panels_per_tile_ = 1;
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_PACKED_BLOCKS_H_
