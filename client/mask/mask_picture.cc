#include "client/mask/mask_picture.h"

#include <algorithm>
#include <bit>
#include <memory>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/core/block_plan.h"
#include "kernels/core/ceil_divide.h"
#include "kernels/core/limits.h"
#include "kernels/core/mask.h"
#include "kernels/core/mask_planning.h"
#include "kernels/core/mask_program.h"
#include "kernels/core/scratch.h"
#include "kernels/core/status_macros.h"
#include "kernels/core/token_range.h"

namespace attn {
namespace {

constexpr int64_t kWordBits = 64;

absl::Status CheckRange(const char* name, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is ", value, ", allowed: ", min, " to ", max));
}

absl::Status Check(const AttentionProblem& problem, const MaskPictureOptions& options) {
  ATTN_RETURN_IF_ERROR(CheckRange("sample", options.sample, 0, problem.batch - 1));
  ATTN_RETURN_IF_ERROR(CheckRange("head", options.head, 0, problem.heads - 1));
  ATTN_RETURN_IF_ERROR(CheckRange("block_q", options.block_q, kMinBlock, kMaxBlock));
  ATTN_RETURN_IF_ERROR(CheckRange("block_k", options.block_k, kMinBlock, kMaxBlock));
  ATTN_RETURN_IF_ERROR(CheckRange("rows of the picture", options.max_rows, 1, kMaxBlock));
  return CheckRange("columns of the picture", options.max_columns, 1, kMaxBlock);
}

// Number of set bits in [begin, end).
int64_t CountBits(const uint64_t* words, int64_t begin, int64_t end) {
  int64_t count = 0;
  while (begin < end) {
    const int64_t stop = std::min(end, (begin / kWordBits + 1) * kWordBits);
    const uint64_t from = words[begin / kWordBits] >> (begin % kWordBits);
    const int64_t bits = stop - begin;
    count += std::popcount(bits == kWordBits ? from : from & ((uint64_t{1} << bits) - 1));
    begin = stop;
  }
  return count;
}

// Adds a plan's blocks up to a picture.
class Painter {
 public:
  Painter(const AttentionProblem& problem, const BlockPlan& plan, const MaskPictureOptions& options,
          MaskPicture* picture)
      : plan_(plan),
        intervals_(plan.mask != nullptr ? *plan.mask : problem.mask),
        sample_(options.sample),
        head_(options.head),
        picture_(*picture),
        visible_(static_cast<size_t>(picture->rows * picture->columns)) {}

  void Paint() {
    const int64_t plan_sample = plan_.batch == 1 ? 0 : sample_;
    const int64_t plan_head = plan_.heads == 1 ? 0 : head_;
    const int64_t first_row = (plan_sample * plan_.heads + plan_head) * plan_.query_blocks();
    picture_.blocks = plan_.query_blocks() * plan_.key_blocks();
    for (int64_t block = 0; block < plan_.query_blocks(); ++block) {
      const auto row = static_cast<size_t>(first_row + block);
      for (int64_t i = plan_.row_begin[row]; i < plan_.row_begin[row + 1]; ++i) {
        PaintBlock(block, plan_.entries[static_cast<size_t>(i)]);
      }
    }
    Finish();
  }

 private:
  void PaintBlock(int64_t query_block, const PlanEntry& entry) {
    const auto q = static_cast<size_t>(query_block);
    const auto k = static_cast<size_t>(entry.key_block);
    const TokenRange queries = {plan_.q_offsets[q], plan_.q_offsets[q + 1]};
    const TokenRange keys = {plan_.k_offsets[k], plan_.k_offsets[k + 1]};
    const bool full = entry.mask == BlockMask::kFull;
    ++(full ? picture_.full_blocks : picture_.partial_blocks);
    for (int64_t query = queries.begin; query < queries.end; ++query) {
      KeyInterval seen = {keys.begin, keys.end};
      if (!full) {
        ReadBits(query, keys);
        const KeyInterval visible = intervals_.VisibleKeys(sample_, query);
        seen = {std::max(keys.begin, visible.begin), std::min(keys.end, visible.end)};
      }
      PaintRow(query, seen, keys.begin, full || plan_.program == nullptr);
    }
  }

  // Fills `words_` with what the program leaves of a row of a partial block.
  void ReadBits(int64_t query, const TokenRange& keys) {
    if (plan_.program == nullptr) return;
    const int64_t words = CeilDivide(keys.size(), kWordBits);
    words_.resize(static_cast<size_t>(words));
    plan_.program->Evaluate(sample_, head_, {query, query + 1}, keys, words_.data(), words);
  }

  // Keys of a row, cell by cell: all of `seen`, or those whose bit is set, counted from
  // `bits_begin`.
  void PaintRow(int64_t query, const KeyInterval& seen, int64_t bits_begin, bool all) {
    const int64_t row = CellOf(query, picture_.rows, picture_.query_len);
    for (int64_t begin = seen.begin; begin < seen.end;) {
      const int64_t column = CellOf(begin, picture_.columns, picture_.key_len);
      const int64_t stop = std::min(seen.end, picture_.key_begin(column + 1));
      visible_[static_cast<size_t>(row * picture_.columns + column)] +=
          all ? stop - begin : CountBits(words_.data(), begin - bits_begin, stop - bits_begin);
      begin = stop;
    }
  }

  // The cell whose tokens [cell * tokens / cells, (cell + 1) * tokens / cells) hold `token`.
  static int64_t CellOf(int64_t token, int64_t cells, int64_t tokens) {
    return ((token + 1) * cells - 1) / tokens;
  }

  void Finish() {
    picture_.shares.resize(visible_.size());
    for (int64_t row = 0; row < picture_.rows; ++row) {
      const int64_t queries = picture_.query_begin(row + 1) - picture_.query_begin(row);
      for (int64_t column = 0; column < picture_.columns; ++column) {
        const int64_t keys = picture_.key_begin(column + 1) - picture_.key_begin(column);
        const auto at = static_cast<size_t>(row * picture_.columns + column);
        const auto count = static_cast<double>(visible_[at]);
        picture_.visible_elements += count;
        picture_.shares[at] = static_cast<float>(count / static_cast<double>(queries * keys));
      }
    }
  }

  const BlockPlan& plan_;
  const IntervalMask& intervals_;
  const int64_t sample_;
  const int64_t head_;
  MaskPicture& picture_;
  std::vector<int64_t> visible_;  // Elements of each cell.
  std::vector<uint64_t> words_;   // Of one row of a partial block.
};

}  // namespace

absl::StatusOr<MaskPicture> DrawMask(const AttentionCall& call, const MaskPictureOptions& options) {
  const AttentionProblem& problem = call.problem;
  ATTN_RETURN_IF_ERROR(Check(problem, options));
  const std::unique_ptr<Planning> planning = PlanMask(
      call, {.block_q = options.block_q, .block_k = options.block_k, .implicit_intervals = false});
  Scratch scratch;
  for (int phase = 0; phase < planning->phase_count(); ++phase) {
    const int64_t tiles = planning->tiles(phase);
    for (int64_t tile = 0; tile < tiles; ++tile) {
      scratch.Reset();
      ATTN_RETURN_IF_ERROR(planning->RunTile(phase, tile, scratch));
    }
  }
  ATTN_ASSIGN_OR_RETURN(const Plan plan, planning->Take());
  MaskPicture picture;
  picture.query_len = problem.query_len;
  picture.key_len = problem.key_len;
  picture.rows = std::min(options.max_rows, problem.query_len);
  picture.columns = std::min(options.max_columns, problem.key_len);
  Painter(problem, std::get<BlockPlan>(plan), options, &picture).Paint();
  return picture;
}

}  // namespace attn
