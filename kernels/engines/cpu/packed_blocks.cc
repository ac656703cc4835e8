#include "kernels/engines/cpu/packed_blocks.h"

#include <algorithm>
#include <array>
#include <bit>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/core/ceil_divide.h"
#include "kernels/core/limits.h"
#include "kernels/core/status_macros.h"
#include "kernels/engines/cpu/plan_tokens.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {
namespace {

// Floats packed by one part: about 30 microseconds at the 3 to 4 GB/s of a transposition.
constexpr int64_t kPartFloats = int64_t{1} << 15;

constexpr int64_t kNotListed = -1;
constexpr int64_t kListed = 0;  // Until it has a place.

// Token `index` of a block at a level, as fp32: a row of `view`, or the mean of `level` rows, the
// last of the block repeated where they end.
void LoadToken(const TensorView& view, int64_t b, int64_t head, const TokenRange& block,
               int64_t level, int64_t index, float* to) {
  if (level == 1) return LoadRow(view, b, head, block.original(block.begin + index), to);
  const int64_t dim = view.dim(3);
  std::array<double, kMaxHeadDim> sum{};
  for (int64_t i = 0; i < level; ++i) {
    const int64_t position = std::min(block.begin + index * level + i, block.end - 1);
    LoadRow(view, b, head, block.original(position), to);
    for (int64_t d = 0; d < dim; ++d) sum[static_cast<size_t>(d)] += to[d];
  }
  for (int64_t d = 0; d < dim; ++d) {
    to[d] = static_cast<float>(sum[static_cast<size_t>(d)] / static_cast<double>(level));
  }
}

// to[d][column] = from[column][d] for kLaneCount columns; to's rows are `stride` apart.
void Transpose(const float* from, int64_t dim, int64_t stride, float* to) {
  for (int64_t d = 0; d < dim; ++d) {
    for (int64_t column = 0; column < kLaneCount; ++column) {
      to[d * stride + column] = from[column * dim + d];
    }
  }
}

// True if some element is infinite or NaN.
bool HasNonFinite(const float* elements, int64_t count) {
  constexpr uint32_t kExponent = 0x7f800000U;
  uint32_t found = 0;
  for (int64_t i = 0; i < count; ++i) {
    found |= static_cast<uint32_t>((std::bit_cast<uint32_t>(elements[i]) & kExponent) == kExponent);
  }
  return found != 0;
}

}  // namespace

int64_t PackedBlocks::DenseBytes(const AttentionProblem& problem, int64_t block_k) {
  const int64_t floats = problem.head_dim * PaddedCount(problem.key_len) +
                         problem.key_len * PaddedCount(problem.value_dim);
  const int64_t blocks = CeilDivide(problem.key_len, block_k);
  const auto block_bytes = static_cast<int64_t>(sizeof(Slot) + sizeof(int64_t) + 1);
  return problem.batch * problem.kv_heads *
         (floats * static_cast<int64_t>(sizeof(float)) + blocks * block_bytes);
}

absl::StatusOr<PackedBlocks> PackedBlocks::Create(const AttentionCall& call, const Plan& plan) {
  PackedBlocks blocks(call, plan);
  if (const auto* dense = std::get_if<ImplicitPlan>(&plan)) {
    blocks.MarkDense(*dense);
  } else {
    blocks.MarkListed(std::get<BlockPlan>(plan));
  }
  ATTN_RETURN_IF_ERROR(blocks.Allocate());
  return blocks;
}

PackedBlocks::PackedBlocks(const AttentionCall& call, const Plan& plan)
    : call_(&call), plan_(&plan), key_block_count_(KeyBlockCount(plan)) {}

int64_t PackedBlocks::SlotIndex(int64_t level_index, int64_t b, int64_t kv_head,
                                int64_t key_block) const {
  const AttentionProblem& problem = call_->problem;
  return ((level_index * problem.batch + b) * problem.kv_heads + kv_head) * key_block_count_ +
         key_block;
}

void PackedBlocks::MarkDense(const ImplicitPlan& plan) {
  const AttentionProblem& problem = call_->problem;
  levels_ = {1};
  slot_of_.assign(static_cast<size_t>(SlotIndex(1, 0, 0, 0)), kNotListed);
  for (int64_t b = 0; b < problem.batch; ++b) {
    const KeyInterval seen = plan.mask->VisibleKeys(b, 0, problem.query_len).any;
    if (seen.empty()) continue;
    const int64_t first = seen.begin / plan.block_k;
    const int64_t end = CeilDivide(seen.end, plan.block_k);
    for (int64_t g = 0; g < problem.kv_heads; ++g) {
      std::fill(slot_of_.begin() + SlotIndex(0, b, g, first),
                slot_of_.begin() + SlotIndex(0, b, g, end), kListed);
    }
  }
}

void PackedBlocks::MarkListed(const BlockPlan& plan) {
  const AttentionProblem& problem = call_->problem;
  const int64_t rows = plan.batch * plan.heads * plan.query_blocks();
  for (const PlanEntry& entry : plan.entries) {
    if (std::find(levels_.begin(), levels_.end(), entry.level) == levels_.end()) {
      levels_.push_back(entry.level);
    }
  }
  slot_of_.assign(static_cast<size_t>(SlotIndex(static_cast<int64_t>(levels_.size()), 0, 0, 0)),
                  kNotListed);
  for (int64_t row = 0; row < rows; ++row) {
    // What this row of the plan stands for.
    const int64_t plan_head = row / plan.query_blocks() % plan.heads;
    const int64_t plan_b = row / plan.query_blocks() / plan.heads;
    const int64_t b_begin = plan.batch == 1 ? 0 : plan_b;
    const int64_t b_end = plan.batch == 1 ? problem.batch : plan_b + 1;
    const int64_t g_begin = plan.heads == 1 ? 0 : problem.kv_head(plan_head);
    const int64_t g_end = plan.heads == 1 ? problem.kv_heads : g_begin + 1;
    for (int64_t i = plan.row_begin[static_cast<size_t>(row)];
         i < plan.row_begin[static_cast<size_t>(row) + 1]; ++i) {
      const PlanEntry& entry = plan.entries[static_cast<size_t>(i)];
      const int64_t level =
          std::find(levels_.begin(), levels_.end(), entry.level) - levels_.begin();
      for (int64_t b = b_begin; b < b_end; ++b) {
        for (int64_t g = g_begin; g < g_end; ++g) {
          slot_of_[static_cast<size_t>(SlotIndex(level, b, g, entry.key_block))] = kListed;
        }
      }
    }
  }
}

absl::Status PackedBlocks::Allocate() {
  const AttentionProblem& problem = call_->problem;
  int64_t floats = 0;
  int64_t panels = 0;
  slots_.reserve(static_cast<size_t>(std::count(slot_of_.begin(), slot_of_.end(), kListed)));
  for (size_t index = 0; index < slot_of_.size(); ++index) {
    if (slot_of_[index] == kNotListed) continue;
    const auto i = static_cast<int64_t>(index);
    Slot slot;
    slot.key_block = i % key_block_count_;
    slot.kv_head = i / key_block_count_ % problem.kv_heads;
    slot.b = i / key_block_count_ / problem.kv_heads % problem.batch;
    slot.level = levels_[index / static_cast<size_t>(SlotIndex(1, 0, 0, 0))];
    slot.tokens = CeilDivide(KeyBlock(*plan_, slot.key_block).size(), slot.level);
    slot.first_float = floats;
    slot.first_panel = panels;
    floats +=
        problem.head_dim * PaddedCount(slot.tokens) + slot.tokens * PaddedCount(problem.value_dim);
    panels += CeilDivide(slot.tokens, kPanelTokens);
    slot_of_[index] = static_cast<int64_t>(slots_.size());
    slots_.push_back(slot);
  }
  if (slots_.empty()) return absl::OkStatus();
  const int64_t bytes = floats * static_cast<int64_t>(sizeof(float));
  finite_.assign(static_cast<size_t>(panels), 1);
  floats_ = AlignedBuffer::Allocate(bytes);
  if (floats_.data() == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for ", bytes, " bytes of packed keys and values"));
  }
  const int64_t slot_floats = CeilDivide(floats, static_cast<int64_t>(slots_.size()));
  slots_per_part_ = std::max<int64_t>(1, kPartFloats / slot_floats);
  return absl::OkStatus();
}

int64_t PackedBlocks::part_count() const {
  return CeilDivide(static_cast<int64_t>(slots_.size()), slots_per_part_);
}

absl::Status PackedBlocks::Pack(int64_t part, Scratch& scratch) {
  const int64_t group_floats = kLaneCount * call_->problem.head_dim;
  ATTN_RETURN_IF_ERROR(scratch.Reserve(group_floats * static_cast<int64_t>(sizeof(float))));
  scratch.Reset();
  auto* group = scratch.Take<float>(group_floats);
  const int64_t begin = part * slots_per_part_;
  const int64_t end = std::min(begin + slots_per_part_, static_cast<int64_t>(slots_.size()));
  for (int64_t i = begin; i < end; ++i) {
    const Slot& slot = slots_[static_cast<size_t>(i)];
    for (int64_t panel = 0; panel < PanelCount(i); ++panel) {
      PackKeys(slot, panel, group);
      PackValues(slot, panel);
    }
  }
  return absl::OkStatus();
}

float* PackedBlocks::KeysOf(const Slot& slot, int64_t panel) const {
  return reinterpret_cast<float*>(floats_.data()) + slot.first_float +
         panel * kPanelTokens * call_->problem.head_dim;
}

float* PackedBlocks::ValuesOf(const Slot& slot, int64_t panel) const {
  return reinterpret_cast<float*>(floats_.data()) + slot.first_float +
         call_->problem.head_dim * PaddedCount(slot.tokens) +
         panel * kPanelTokens * PaddedCount(call_->problem.value_dim);
}

void PackedBlocks::PackKeys(const Slot& slot, int64_t panel, float* group) {
  const int64_t dim = call_->problem.head_dim;
  const int64_t first = panel * kPanelTokens;
  const int64_t tokens = std::min(kPanelTokens, slot.tokens - first);
  const int64_t stride = PaddedCount(tokens);
  const TokenRange block = KeyBlock(*plan_, slot.key_block);
  float* keys = KeysOf(slot, panel);
  for (int64_t begin = 0; begin < tokens; begin += kLaneCount) {
    const int64_t count = std::min(kLaneCount, tokens - begin);
    for (int64_t i = 0; i < count; ++i) {
      LoadToken(call_->k, slot.b, slot.kv_head, block, slot.level, first + begin + i,
                group + i * dim);
    }
    std::fill(group + count * dim, group + kLaneCount * dim, 0.0F);
    Transpose(group, dim, stride, keys + begin);
  }
}

void PackedBlocks::PackValues(const Slot& slot, int64_t panel) {
  const int64_t dim = call_->problem.value_dim;
  const int64_t stride = PaddedCount(dim);
  const int64_t first = panel * kPanelTokens;
  const int64_t tokens = std::min(kPanelTokens, slot.tokens - first);
  const TokenRange block = KeyBlock(*plan_, slot.key_block);
  float* values = ValuesOf(slot, panel);
  for (int64_t i = 0; i < tokens; ++i) {
    float* row = values + i * stride;
    LoadToken(call_->v, slot.b, slot.kv_head, block, slot.level, first + i, row);
    std::fill(row + dim, row + stride, 0.0F);
  }
  finite_[static_cast<size_t>(slot.first_panel + panel)] =
      static_cast<uint8_t>(!HasNonFinite(values, tokens * stride));
}

int64_t PackedBlocks::SlotOf(int64_t b, int64_t kv_head, int64_t key_block, int64_t level) const {
  const int64_t level_index = std::find(levels_.begin(), levels_.end(), level) - levels_.begin();
  return slot_of_[static_cast<size_t>(SlotIndex(level_index, b, kv_head, key_block))];
}

int64_t PackedBlocks::PanelCount(int64_t slot) const {
  return CeilDivide(slots_[static_cast<size_t>(slot)].tokens, kPanelTokens);
}

Panel PackedBlocks::PanelAt(int64_t slot, int64_t index) const {
  const Slot& s = slots_[static_cast<size_t>(slot)];
  const int64_t first = index * kPanelTokens;
  return {.keys = KeysOf(s, index),
          .values = ValuesOf(s, index),
          .first_token = first,
          .tokens = std::min(kPanelTokens, s.tokens - first),
          .finite = finite_[static_cast<size_t>(s.first_panel + index)] != 0};
}

}  // namespace attn
