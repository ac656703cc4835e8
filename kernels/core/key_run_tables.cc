#include "kernels/core/key_run_tables.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>
#include <variant>

namespace attn {
namespace {

// Runs of all tables and samples together: 24 MiB. Masks of models have a few a document.
constexpr int64_t kMaxRuns = int64_t{1} << 20;

// Runs that are sorted where ids come in any order; ascending ones may be more.
constexpr size_t kMaxSortedRuns = 4096;

using Value = std::optional<int64_t>;

bool SortById(std::vector<KeyRun>::iterator begin, std::vector<KeyRun>::iterator end) {
  const auto before = [](const KeyRun& run, const KeyRun& other) {
    return std::tie(run.first, run.begin) < std::tie(other.first, other.begin);
  };
  if (std::is_sorted(begin, end, before)) return true;
  if (static_cast<size_t>(end - begin) > kMaxSortedRuns) return false;
  std::sort(begin, end, before);
  return true;
}

}  // namespace

KeyRunTables::KeyRunTables(const MaskProgram& program, int64_t samples)
    : program_(program), tiles_(samples, program.sizes().key_len, kTokensPerMaskTile) {
  AddTables(program.root());
  if (tables_.empty()) return;
  pieces_.resize(static_cast<size_t>(tiles_.count()));
  if (tiles_.stretches() > 1) joined_.resize(static_cast<size_t>(samples) * tables_.size());
}

// In the order in which Collect comes to them.
void KeyRunTables::AddTables(const ProgramNode& node) {
  if (std::holds_alternative<program_op::SameId>(node.op)) {
    tables_.push_back({&node, KeyRunKind::kId});
  } else if (std::holds_alternative<program_op::KeyFlag>(node.op) ||
             std::holds_alternative<program_op::Dense>(node.op)) {
    tables_.push_back({&node, KeyRunKind::kFlag});
  } else if (std::holds_alternative<program_op::Remap>(node.op)) {
    tables_.push_back({&node, KeyRunKind::kFlag});
    tables_.push_back({&node, KeyRunKind::kRising});
  }
  for (const ProgramNode& arg : ArgsOf(node)) AddTables(arg);
}

int64_t KeyRunTables::tiles(int phase) const {
  if (tables_.empty()) return 0;
  return phase == 0 ? tiles_.count() : static_cast<int64_t>(joined_.size());
}

bool KeyRunTables::RunTile(int phase, int64_t tile) {
  const auto table_count = static_cast<int64_t>(tables_.size());
  if (phase == 1) return Join(tile % table_count, tile / table_count);
  const TokenTile part = tiles_.at(tile);
  Piece& piece = pieces_[static_cast<size_t>(tile)];
  piece.ends.reserve(static_cast<size_t>((part.last_sample - part.first_sample) * table_count));
  const TokenAxis keys(part.begin, part.end, program_.kv_offset());
  for (int64_t b = part.first_sample; b < part.last_sample; ++b) {
    if (!Collect(program_.root(), b, keys, &piece)) return false;
  }
  return true;
}

bool KeyRunTables::Collect(const ProgramNode& node, int64_t b, const TokenAxis& keys,
                           Piece* piece) {
  if (const auto* offset = std::get_if<program_op::Offset>(&node.op)) {
    return Collect(offset->arg.front(), b, keys.Shifted(offset->kv), piece);
  }
  if (const auto* remap = std::get_if<program_op::Remap>(&node.op)) {
    const TokenAxis moved = keys.Remapped(remap->positions, b);
    const auto stands = [&](int64_t key) { return moved.stands(key) ? Value(1) : std::nullopt; };
    const auto position = [&](int64_t key) {
      return moved.stands(key) ? Value(moved.position(key)) : std::nullopt;
    };
    return CollectTable(KeyRunKind::kFlag, moved, stands, piece) &&
           CollectTable(KeyRunKind::kRising, moved, position, piece) &&
           Collect(remap->arg.front(), b, moved, piece);
  }
  const auto collect = [&](KeyRunKind kind, const IndexTable& table, const TokenAxis& at,
                           const auto& admits) {
    const auto value_of = [&](int64_t key) -> Value {
      if (!at.stands(key) || !table.Has(at.position(key))) return std::nullopt;
      const int64_t value = table.at(b, at.position(key));
      return admits(value) ? Value(value) : std::nullopt;
    };
    return CollectTable(kind, at, value_of, piece);
  };
  const auto is_set = [](int64_t flag) { return flag != 0; };
  if (const auto* same = std::get_if<program_op::SameId>(&node.op)) {
    const bool any = !same->negative_is_none;
    return collect(KeyRunKind::kId, same->ids, keys, [&](int64_t id) { return any || id >= 0; });
  }
  if (const auto* flag = std::get_if<program_op::KeyFlag>(&node.op)) {
    return collect(KeyRunKind::kFlag, flag->flags, keys, is_set);
  }
  if (const auto* dense = std::get_if<program_op::Dense>(&node.op)) {
    return collect(KeyRunKind::kFlag, *KeyFlagsOf(*dense), keys.Shifted(-dense->kv_begin), is_set);
  }
  const std::span<const ProgramNode> args = ArgsOf(node);
  return std::all_of(args.begin(), args.end(),
                     [&](const ProgramNode& arg) { return Collect(arg, b, keys, piece); });
}

// Keys without a value are in no run.
template <typename ValueOf>
bool KeyRunTables::CollectTable(KeyRunKind kind, const TokenAxis& keys, const ValueOf& value_of,
                                Piece* piece) {
  std::vector<KeyRun>& runs = piece->runs;
  const size_t first = runs.size();
  for (int64_t key = keys.begin(); key < keys.end(); ++key) {
    const Value found = value_of(key);
    if (!found.has_value()) continue;
    const int64_t value = *found;
    if (runs.size() > first && runs.back().end == key && Joins(kind, runs.back().last, value)) {
      ++runs.back().end;
      runs.back().last = value;
      continue;
    }
    if (count_.fetch_add(1, std::memory_order_relaxed) >= kMaxRuns) return false;
    const auto begin = static_cast<int32_t>(key);
    runs.push_back({begin, begin + 1, value, value});
  }
  piece->ends.push_back(runs.size());
  return kind != KeyRunKind::kId || tiles_.stretches() > 1 ||
         SortById(runs.begin() + static_cast<std::ptrdiff_t>(first), runs.end());
}

bool KeyRunTables::Join(int64_t table, int64_t sample) {
  const KeyRunKind kind = tables_[static_cast<size_t>(table)].kind;
  const size_t index = static_cast<size_t>(sample) * tables_.size() + static_cast<size_t>(table);
  std::vector<KeyRun>& runs = joined_[index];
  for (int64_t stretch = 0; stretch < tiles_.stretches(); ++stretch) {
    std::span<const KeyRun> next = InPiece(table, sample, stretch);
    if (!runs.empty() && !next.empty() && runs.back().end == next.front().begin &&
        Joins(kind, runs.back().last, next.front().first)) {
      runs.back().end = next.front().end;
      runs.back().last = next.front().last;
      next = next.subspan(1);
    }
    runs.insert(runs.end(), next.begin(), next.end());
  }
  return kind != KeyRunKind::kId || SortById(runs.begin(), runs.end());
}

std::span<const KeyRun> KeyRunTables::InPiece(int64_t table, int64_t sample,
                                              int64_t stretch) const {
  const int64_t group = sample / tiles_.samples_per_tile();
  const Piece& piece = pieces_[static_cast<size_t>(group * tiles_.stretches() + stretch)];
  const size_t index = static_cast<size_t>(sample % tiles_.samples_per_tile()) * tables_.size() +
                       static_cast<size_t>(table);
  const size_t begin = index == 0 ? 0 : piece.ends[index - 1];
  return std::span(piece.runs).subspan(begin, piece.ends[index] - begin);
}

std::span<const KeyRun> KeyRunTables::of(const ProgramNode& node, int64_t b) const {
  const bool ids = std::holds_alternative<program_op::SameId>(node.op);
  return Runs(node, ids ? KeyRunKind::kId : KeyRunKind::kFlag, b);
}

std::span<const KeyRun> KeyRunTables::rising(const ProgramNode& remap, int64_t b) const {
  return Runs(remap, KeyRunKind::kRising, b);
}

std::span<const KeyRun> KeyRunTables::Runs(const ProgramNode& node, KeyRunKind kind,
                                           int64_t b) const {
  const auto found = std::find_if(tables_.begin(), tables_.end(), [&](const Table& table) {
    return table.node == &node && table.kind == kind;
  });
  const auto table = static_cast<size_t>(found - tables_.begin());
  const int64_t sample = tiles_.samples() == 1 ? 0 : b;
  if (joined_.empty()) return InPiece(static_cast<int64_t>(table), sample, 0);
  return joined_[static_cast<size_t>(sample) * tables_.size() + table];
}

double KeyRunTables::Bytes(int64_t samples, int64_t tables, int64_t keys) {
  const double lists = static_cast<double>(samples) * static_cast<double>(tables);
  const TokenTiles tiles(samples, keys, kTokensPerMaskTile);
  const double runs = std::min(lists * static_cast<double>(keys), static_cast<double>(kMaxRuns));
  // Twice for vectors that grow; once more joined, again in such a vector.
  return tables == 0 ? 0
                     : 4 * runs * sizeof(KeyRun) +
                           lists * static_cast<double>(tiles.stretches()) * sizeof(size_t) +
                           static_cast<double>(tiles.count()) * sizeof(Piece) +
                           (tiles.stretches() > 1 ? lists * sizeof(std::vector<KeyRun>) : 0);
}

}  // namespace attn
