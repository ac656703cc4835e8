// Keys and values in the form that the tile kernels read: fp32, contiguous, keys transposed, pooled
// where a plan asks for it. Packed once a call and shared by all query blocks and heads.
#ifndef ATTN_KERNELS_ENGINES_CPU_PACKED_BLOCKS_H_
#define ATTN_KERNELS_ENGINES_CPU_PACKED_BLOCKS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/core/aligned_buffer.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/block_plan.h"
#include "kernels/core/scratch.h"

namespace attn {

// Keys that one score tile runs over; longer blocks are cut into panels of it. 128 keys of 64
// dimensions are 32 KiB, and so are their values: both stay in the second-level cache while 64
// query rows pass. A multiple of the 64 bits of a mask word.
inline constexpr int64_t kPanelTokens = 128;

// One panel of a packed block; a token is a key with its value, or a pool of them.
struct Panel {
  const float* keys = nullptr;    // [D, PaddedCount(tokens)]
  const float* values = nullptr;  // [tokens, PaddedCount(Dv)]
  int64_t first_token = 0;        // In the block.
  int64_t tokens = 0;
  bool finite = true;  // No value is infinite or NaN.
};

// The blocks that a plan lists, at the levels it lists. Borrows the call and the plan. Distinct
// parts may be packed at once; panels may be read when all parts are packed.
class PackedBlocks {
 public:
  // Bytes for all keys of a dense call, in blocks of `block_k` or more keys.
  static int64_t DenseBytes(const AttentionProblem& problem, int64_t block_k);

  // RESOURCE_EXHAUSTED if the system has no memory.
  static absl::StatusOr<PackedBlocks> Create(const AttentionCall& call, const Plan& plan);

  int64_t part_count() const;
  absl::Status Pack(int64_t part, Scratch& scratch);

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
    int64_t first_float = 0;  // Of its keys; its values follow.
    int64_t first_panel = 0;
  };

  PackedBlocks(const AttentionCall& call, const Plan& plan);

  void MarkDense(const ImplicitPlan& plan);
  void MarkListed(const BlockPlan& plan);
  absl::Status Allocate();
  // `group` has room for kLaneCount keys.
  void PackKeys(const Slot& slot, int64_t panel, float* group);
  void PackValues(const Slot& slot, int64_t panel);
  float* KeysOf(const Slot& slot, int64_t panel) const;
  float* ValuesOf(const Slot& slot, int64_t panel) const;
  int64_t SlotIndex(int64_t level_index, int64_t b, int64_t kv_head, int64_t key_block) const;

  const AttentionCall* call_;
  const Plan* plan_;
  int64_t key_block_count_;
  std::vector<int64_t> levels_;   // Distinct, as first met.
  std::vector<int64_t> slot_of_;  // [levels, B, G, key blocks]
  std::vector<Slot> slots_;
  std::vector<uint8_t> finite_;  // Of each panel.
  AlignedBuffer floats_;
  int64_t slots_per_part_ = 1;
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_PACKED_BLOCKS_H_
