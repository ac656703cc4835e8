#include "kernels/engines/cpu/packed_blocks.h"

#include <algorithm>
#include <array>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/core/ceil_divide.h"
#include "kernels/core/float16.h"
#include "kernels/core/limits.h"
#include "kernels/core/status_macros.h"
#include "kernels/engines/cpu/plan_tokens.h"

namespace attn {
namespace {

// Bytes packed by one tile: tens of microseconds.
constexpr int64_t kTileBytes = int64_t{256} << 10;

// Of the index of blocks: 1 GiB.
constexpr int64_t kMaxPlaces = int64_t{1} << 27;

constexpr int64_t kNotListed = -1;
constexpr int64_t kListed = 0;  // Until it has a place.

// Padding of a panel's tokens that suits both products.
int64_t PaddedTokens(const TileKernels& kernels, int64_t tokens) {
  return RoundUp(tokens, std::max({kLaneCount, kernels.token_multiple, kernels.column_multiple}));
}

// Bytes of keys and values a packed token.
int64_t KeyBytes(const TileKernels& kernels, const AttentionProblem& problem) {
  return RoundUp(problem.head_dim, kernels.depth_multiple) * ElementBytes(kernels.operand);
}
int64_t ValueBytes(const TileKernels& kernels, const AttentionProblem& problem) {
  return RoundUp(problem.value_dim, kLaneCount) * ElementBytes(kernels.operand);
}

// One block of one key head, at a level.
struct Source {
  int64_t b;
  int64_t head;
  TokenRange block;
  int64_t level;
};

// Mean of `level` rows from the block's row `index` * level on, the last one repeated where they
// end, in the table's operand form.
void PoolToken(const TensorView& view, const Source& source, int64_t index, Operand operand,
               std::byte* to) {
  const int64_t dim = view.dim(3);
  std::array<double, kMaxHeadDim> sum{};
  std::array<float, kMaxHeadDim> row;
  const TokenRange& block = source.block;
  for (int64_t i = 0; i < source.level; ++i) {
    const int64_t position = std::min(block.begin + index * source.level + i, block.end - 1);
    LoadRow(view, source.b, source.head, block.original(position), row.data());
    for (int64_t d = 0; d < dim; ++d) {
      sum[static_cast<size_t>(d)] += row[static_cast<size_t>(d)];
    }
  }
  for (int64_t d = 0; d < dim; ++d) {
    const auto mean =
        static_cast<float>(sum[static_cast<size_t>(d)] / static_cast<double>(source.level));
    if (operand == Operand::kFloat32) {
      reinterpret_cast<float*>(to)[d] = mean;
    } else {
      reinterpret_cast<uint16_t*>(to)[d] = FloatToBFloat16(mean);
    }
  }
}

// Addresses of the tokens of one group of a panel: rows of the caller's tensor, or copies of them
// where they are pooled or not contiguous. Null behind the last token.
class GroupTokens {
 public:
  // `copies` has room for kLaneCount tokens in the table's operand form.
  GroupTokens(const TensorView& view, Operand operand, std::byte* copies)
      : view_(view), operand_(operand), copies_(copies) {}

  // Tokens [first, first + kLaneCount) of the block at the level, `count` of them there.
  TokenGroup Load(const Source& source, int64_t first, int64_t count) {
    addresses_.fill(nullptr);
    const int64_t dim = view_.dim(3);
    const bool copied = source.level > 1 || view_.stride(3) != 1;
    for (int64_t i = 0; i < std::min(count, kLaneCount); ++i) {
      const void*& address = addresses_[static_cast<size_t>(i)];
      if (copied) {
        std::byte* to = copies_ + i * dim * ElementBytes(operand_);
        PoolToken(view_, source, first + i, operand_, to);
        address = to;
      } else {
        const int64_t position = source.block.begin + first + i;
        address = TokenAddress(view_, source.b, source.head, source.block.original(position));
      }
    }
    const DType copy_dtype = operand_ == Operand::kFloat32 ? DType::kFloat32 : DType::kBFloat16;
    return {addresses_.data(), copied ? copy_dtype : view_.dtype, dim};
  }

 private:
  const TensorView& view_;
  Operand operand_;
  std::byte* copies_;
  std::array<const void*, kLaneCount> addresses_{};
};

}  // namespace

int64_t PackedBlocks::DenseBytes(const AttentionProblem& problem, const TileKernels& kernels,
                                 int64_t block_k) {
  const int64_t blocks = CeilDivide(problem.key_len, block_k);
  const int64_t padded_tokens = problem.key_len + blocks * PaddedTokens(kernels, 1);
  const int64_t token_bytes = KeyBytes(kernels, problem) + ValueBytes(kernels, problem);
  const auto block_bytes = static_cast<int64_t>(sizeof(Slot) + 2 * sizeof(int64_t) + 1);
  return problem.batch * problem.kv_heads *
         (padded_tokens * token_bytes + blocks * (block_bytes + kBufferAlignment));
}

absl::StatusOr<PackedBlocks> PackedBlocks::Create(const AttentionCall& call, const Plan& plan,
                                                  const TileKernels& kernels, BufferPool& pool) {
  PackedBlocks blocks(call, plan, kernels);
  if (const auto* dense = std::get_if<ImplicitPlan>(&plan)) {
    ATTN_RETURN_IF_ERROR(blocks.MarkDense(*dense));
  } else {
    ATTN_RETURN_IF_ERROR(blocks.MarkListed(std::get<BlockPlan>(plan)));
  }
  ATTN_RETURN_IF_ERROR(blocks.Allocate(pool));
  return blocks;
}

PackedBlocks::PackedBlocks(const AttentionCall& call, const Plan& plan, const TileKernels& kernels)
    : call_(&call), plan_(&plan), kernels_(&kernels), key_block_count_(KeyBlockCount(plan)) {}

int64_t PackedBlocks::SlotIndex(int64_t level_index, int64_t b, int64_t kv_head,
                                int64_t key_block) const {
  const AttentionProblem& problem = call_->problem;
  return ((level_index * problem.batch + b) * problem.kv_heads + kv_head) * key_block_count_ +
         key_block;
}

absl::Status PackedBlocks::MakeIndex() {
  const AttentionProblem& problem = call_->problem;
  const std::optional<int64_t> places = CheckedElementCount(std::array{
      static_cast<int64_t>(levels_.size()), problem.batch, problem.kv_heads, key_block_count_});
  if (!places.has_value() || *places > kMaxPlaces) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the plan has ", levels_.size(), " levels of ", key_block_count_,
                     " key blocks for ", problem.batch, " samples and ", problem.kv_heads,
                     " key heads, allowed: ", kMaxPlaces, " in all"));
  }
  slot_of_.assign(static_cast<size_t>(*places), kNotListed);
  return absl::OkStatus();
}

absl::Status PackedBlocks::MarkDense(const ImplicitPlan& plan) {
  const AttentionProblem& problem = call_->problem;
  levels_ = {1};
  ATTN_RETURN_IF_ERROR(MakeIndex());
  for (int64_t b = 0; b < problem.batch; ++b) {
    if (call_->idle(b)) continue;
    const KeyInterval seen = plan.mask->VisibleKeys(b, 0, problem.query_len).any;
    if (seen.empty()) continue;
    const int64_t first = seen.begin / plan.block_k;
    const int64_t end = CeilDivide(seen.end, plan.block_k);
    for (int64_t g = 0; g < problem.kv_heads; ++g) {
      std::fill(slot_of_.begin() + SlotIndex(0, b, g, first),
                slot_of_.begin() + SlotIndex(0, b, g, end), kListed);
    }
  }
  return absl::OkStatus();
}

absl::Status PackedBlocks::MarkListed(const BlockPlan& plan) {
  const AttentionProblem& problem = call_->problem;
  const int64_t rows = plan.batch * plan.heads * plan.query_blocks();
  for (const PlanEntry& entry : plan.entries) {
    if (std::find(levels_.begin(), levels_.end(), entry.level) == levels_.end()) {
      levels_.push_back(entry.level);
    }
  }
  ATTN_RETURN_IF_ERROR(MakeIndex());
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
        if (call_->idle(b)) continue;
        for (int64_t g = g_begin; g < g_end; ++g) {
          slot_of_[static_cast<size_t>(SlotIndex(level, b, g, entry.key_block))] = kListed;
        }
      }
    }
  }
  return absl::OkStatus();
}

absl::Status PackedBlocks::Allocate(BufferPool& pool) {
  const AttentionProblem& problem = call_->problem;
  const int64_t token_bytes = KeyBytes(*kernels_, problem) + ValueBytes(*kernels_, problem);
  int64_t bytes = 0;
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
    slot.first_byte = bytes;
    slot.first_panel = static_cast<int64_t>(slot_of_panel_.size());
    bytes += RoundUp(PaddedTokens(*kernels_, slot.tokens) * token_bytes, kBufferAlignment);
    slot_of_[index] = static_cast<int64_t>(slots_.size());
    slot_of_panel_.insert(slot_of_panel_.end(),
                          static_cast<size_t>(CeilDivide(slot.tokens, kPanelTokens)),
                          slot_of_[index]);
    slots_.push_back(slot);
  }
  if (slots_.empty()) return absl::OkStatus();
  finite_.assign(slot_of_panel_.size(), 1);
  ATTN_ASSIGN_OR_RETURN(bytes_, pool.Take(bytes));
  const int64_t panel_bytes = CeilDivide(bytes, static_cast<int64_t>(slot_of_panel_.size()));
  panels_per_tile_ = std::max<int64_t>(1, kTileBytes / panel_bytes);
  return absl::OkStatus();
}

int64_t PackedBlocks::tile_count() const {
  return CeilDivide(static_cast<int64_t>(slot_of_panel_.size()), panels_per_tile_);
}

absl::Status PackedBlocks::Pack(int64_t tile, Scratch& scratch) {
  const int64_t copy_bytes = kLaneCount *
                             std::max(call_->problem.head_dim, call_->problem.value_dim) *
                             ElementBytes(kernels_->operand);
  ATTN_RETURN_IF_ERROR(scratch.Reserve(RoundUp(copy_bytes, kBufferAlignment)));
  auto* copies = scratch.Take<std::byte>(copy_bytes);
  const int64_t begin = tile * panels_per_tile_;
  const int64_t end =
      std::min(begin + panels_per_tile_, static_cast<int64_t>(slot_of_panel_.size()));
  for (int64_t panel = begin; panel < end; ++panel) PackPanel(panel, copies);
  return absl::OkStatus();
}

void PackedBlocks::PackPanel(int64_t index, std::byte* copies) {
  const AttentionProblem& problem = call_->problem;
  const int64_t slot_index = slot_of_panel_[static_cast<size_t>(index)];
  const Slot& slot = slots_[static_cast<size_t>(slot_index)];
  const Panel panel = PanelAt(slot_index, index - slot.first_panel);
  auto* keys = const_cast<std::byte*>(panel.keys);
  auto* values = const_cast<std::byte*>(panel.values);
  const Source source = {slot.b, slot.kv_head, KeyBlock(*plan_, slot.key_block), slot.level};
  GroupTokens key_tokens(call_->k, kernels_->operand, copies);
  GroupTokens value_tokens(call_->v, kernels_->operand, copies);
  bool finite = true;
  for (int64_t t = 0; t < panel.padded_tokens; t += kLaneCount) {
    const int64_t first = panel.first_token + t;
    kernels_->pack_keys({.group = key_tokens.Load(source, first, panel.tokens - t),
                         .depth = RoundUp(problem.head_dim, kernels_->depth_multiple),
                         .to = keys + t / kLaneCount * panel.key_group_bytes});
    // A group of columns holds kLaneCount elements a token.
    const bool group_finite =
        kernels_->pack_values({.group = value_tokens.Load(source, first, panel.tokens - t),
                               .to = values + t * kLaneCount * ElementBytes(kernels_->operand),
                               .group_bytes = panel.value_group_bytes});
    finite = finite && group_finite;
  }
  finite_[static_cast<size_t>(index)] = static_cast<uint8_t>(finite);
}

int64_t PackedBlocks::SlotOf(int64_t b, int64_t kv_head, int64_t key_block, int64_t level) const {
  const int64_t level_index = std::find(levels_.begin(), levels_.end(), level) - levels_.begin();
  return slot_of_[static_cast<size_t>(SlotIndex(level_index, b, kv_head, key_block))];
}

int64_t PackedBlocks::PanelCount(int64_t slot) const {
  return CeilDivide(slots_[static_cast<size_t>(slot)].tokens, kPanelTokens);
}

// The keys of all panels of a slot come first, then their values.
Panel PackedBlocks::PanelAt(int64_t slot, int64_t index) const {
  const Slot& s = slots_[static_cast<size_t>(slot)];
  const int64_t key_bytes = KeyBytes(*kernels_, call_->problem);
  const int64_t value_bytes = ValueBytes(*kernels_, call_->problem);
  const int64_t first = index * kPanelTokens;
  const std::byte* keys = bytes_.data() + s.first_byte;
  const std::byte* values = keys + PaddedTokens(*kernels_, s.tokens) * key_bytes;
  Panel panel;
  panel.first_token = first;
  panel.tokens = std::min(kPanelTokens, s.tokens - first);
  panel.padded_tokens = PaddedTokens(*kernels_, panel.tokens);
  panel.keys = keys + first * key_bytes;
  panel.values = values + first * value_bytes;
  panel.key_group_bytes = kLaneCount * key_bytes;
  panel.value_group_bytes = panel.padded_tokens * kLaneCount * ElementBytes(kernels_->operand);
  panel.finite = finite_[static_cast<size_t>(s.first_panel + index)] != 0;
  return panel;
}

}  // namespace attn
