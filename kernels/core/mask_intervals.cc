#include "kernels/core/mask_intervals.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "kernels/core/interval_rows.h"
#include "kernels/core/key_runs.h"

namespace attn {
namespace {

// Whether a node may be an interval a query, going by its kind.
bool MayBeIntervals(const ProgramNode& node) {
  if (std::holds_alternative<program_op::Blocks>(node.op)) return false;
  if (std::holds_alternative<program_op::Function>(node.op)) return false;
  const auto* dense = std::get_if<program_op::Dense>(&node.op);
  if (dense != nullptr && !KeyFlagsOf(*dense).has_value()) return false;
  const std::span<const ProgramNode> args = ArgsOf(node);
  return std::all_of(args.begin(), args.end(), MayBeIntervals);
}

}  // namespace

IntervalSearch::IntervalSearch(const MaskProgram& program, const IntervalMask& also)
    : program_(program),
      also_(also),
      queries_(program.per_sample() || also.per_sample() ? program.sizes().batch : 1,
               program.sizes().query_len, kQueriesPerMaskTile),
      possible_(!program.per_head() && MayBeIntervals(program.root())) {
  if (possible_) tables_.emplace(program, program.per_sample() ? program.sizes().batch : 1);
}

int64_t IntervalSearch::tiles(int phase) {
  if (!possible_) return 0;
  if (phase < KeyRunTables::kPhases) return tables_->tiles(phase);
  rows_.resize(static_cast<size_t>(queries_.samples() * program_.sizes().query_len));
  return queries_.count();
}

void IntervalSearch::RunTile(int phase, int64_t tile) {
  if (!possible_) return;
  const bool found = phase < KeyRunTables::kPhases ? tables_->RunTile(phase, tile) : FindRows(tile);
  if (!found) possible_ = false;
}

bool IntervalSearch::FindRows(int64_t tile) {
  const TokenTile part = queries_.at(tile);
  std::vector<IntervalMask::Row> rows;
  rows.reserve(static_cast<size_t>(part.end - part.begin));
  for (int64_t b = part.first_sample; b < part.last_sample; ++b) {
    rows.clear();
    for (int64_t query = part.begin; query < part.end; ++query) {
      const KeyInterval seen = also_.VisibleKeys(b, query);
      rows.push_back(KeyRow(seen.begin, seen.end));
    }
    if (!NarrowRows(program_, *tables_, b, part.begin, rows)) return false;
    std::copy(rows.begin(), rows.end(),
              rows_.begin() + b * program_.sizes().query_len + part.begin);
  }
  return true;
}

std::optional<IntervalMask> IntervalSearch::Take() {
  if (!possible_) return std::nullopt;
  const MaskSizes& sizes = program_.sizes();
  return IntervalMask::FromRows(std::move(rows_), queries_.samples(), sizes.batch, sizes.query_len,
                                sizes.key_len);
}

double IntervalSearch::Bytes(int64_t samples, int64_t tables, int64_t queries, int64_t keys) {
  const double rows = static_cast<double>(samples) * static_cast<double>(queries);
  return rows * sizeof(IntervalMask::Row) + static_cast<double>(samples) * sizeof(int64_t) +
         KeyRunTables::Bytes(samples, tables, keys);
}

}  // namespace attn
