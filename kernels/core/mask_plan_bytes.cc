// MaskPlanBytes: what admission charges for the planning of a mask.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <variant>

#include "kernels/core/ceil_divide.h"
#include "kernels/core/mask_bounds.h"
#include "kernels/core/mask_intervals.h"
#include "kernels/core/mask_planning.h"
#include "kernels/core/row_planner.h"
#include "kernels/core/token_tiles.h"

namespace attn {
namespace {

// Of an expression.
struct Counted {
  int64_t nodes = 0;
  int64_t remaps = 0;
  int64_t tables = 0;            // Of values of single tokens; those of remaps among them.
  bool may_be_intervals = true;  // Going by the kinds of its nodes.
};

void Count(const MaskNode& node, Counted* counted) {
  const auto* padding = std::get_if<mask_op::Padding>(&node.op);
  const bool remap = std::holds_alternative<mask_op::Remap>(node.op);
  const bool table = remap || std::holds_alternative<mask_op::Blockwise>(node.op) ||
                     std::holds_alternative<mask_op::Packed>(node.op) ||
                     std::holds_alternative<mask_op::Dense>(node.op) ||
                     (padding != nullptr && !padding->mask.empty());
  ++counted->nodes;
  counted->remaps += remap ? 1 : 0;
  counted->tables += table ? 1 : 0;
  if (std::holds_alternative<mask_op::Blocks>(node.op) ||
      std::holds_alternative<mask_op::Function>(node.op)) {
    counted->may_be_intervals = false;
  }
  for (const MaskNode& arg : ArgsOf(node)) Count(arg, counted);
}

// What tiles that run at once hold: rows at every node, positions of tokens below every remap.
double TileBytes(const Counted& counted, const MaskSizes& sizes, int64_t samples) {
  constexpr int64_t kMostThreads = 256;
  const auto at_once = [&](int64_t tokens, int64_t per_tile) {
    return std::min(static_cast<double>(samples) * static_cast<double>(tokens),
                    static_cast<double>(kMostThreads * per_tile));
  };
  const double rows = at_once(sizes.query_len, kQueriesPerMaskTile);
  const double tokens = std::max(at_once(sizes.query_len, kTokensPerMaskTile),
                                 at_once(sizes.key_len, kTokensPerMaskTile));
  return rows * static_cast<double>(counted.nodes + 2) * sizeof(IntervalMask::Row) +
         tokens * static_cast<double>(counted.remaps) * sizeof(int64_t);
}

// Of the search for intervals, or of the bounds, which come when the search has freed its own.
double SearchOrBoundsBytes(const MaskExpression& expression, int64_t samples, int64_t query_blocks,
                           int64_t key_blocks) {
  Counted counted;
  Count(expression.spec().root, &counted);
  const MaskSizes& sizes = expression.sizes();
  const bool searches = counted.may_be_intervals && !expression.per_head();
  const double search = IntervalSearch::Bytes(samples, counted.tables + counted.remaps,
                                              sizes.query_len, sizes.key_len);
  const double bounds = MaskBounds::Bytes(samples, counted.tables, query_blocks, key_blocks);
  return std::max(searches ? search : 0, bounds) + TileBytes(counted, sizes, samples);
}

}  // namespace

int64_t MaskPlanBytes(const AttentionProblem& problem, const MaskPlanOptions& options,
                      int64_t most_blocks) {
  const MaskExpression* expression = problem.expression.get();
  if (expression == nullptr && options.implicit_intervals) return 0;
  const bool per_sample =
      problem.mask.per_sample() || (expression != nullptr && expression->per_sample());
  const bool per_head = expression != nullptr && expression->per_head();
  const int64_t samples = per_sample ? problem.batch : 1;
  const int64_t query_blocks = CeilDivide(problem.query_len, options.block_q);
  const int64_t key_blocks = CeilDivide(problem.key_len, options.block_k);
  const double rows = static_cast<double>(samples) * static_cast<double>(query_blocks) *
                      static_cast<double>(per_head ? problem.heads : 1);
  // Entries of tiles, in vectors that double, and once more in the plan.
  const double blocks =
      std::min(rows * static_cast<double>(key_blocks), static_cast<double>(most_blocks));
  const RowTiles cut = CutRows(expression, options.block_q, options.block_k, problem.key_len);
  // Of every row and stretch of its keys: its entries, in vectors of their own, and how many.
  constexpr double kPartBytes = 2 * sizeof(std::vector<PlanEntry>) + 2 * sizeof(int64_t);
  double bytes = blocks * 3 * sizeof(PlanEntry) +
                 rows * (static_cast<double>(cut.stretches) * kPartBytes + sizeof(int64_t));
  if (expression != nullptr) {
    bytes += SearchOrBoundsBytes(*expression, samples, query_blocks, key_blocks);
    bytes += static_cast<double>(expression->program_bytes());
  }
  constexpr auto kMax = std::numeric_limits<int64_t>::max();
  return bytes < static_cast<double>(kMax) ? static_cast<int64_t>(bytes) : kMax;
}

}  // namespace attn
