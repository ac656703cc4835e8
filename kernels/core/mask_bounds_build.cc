// MaskBounds: the ranges of its tables, in tiles of tokens.
#include <algorithm>
#include <memory>
#include <new>
#include <optional>
#include <variant>

#include "kernels/core/ceil_divide.h"
#include "kernels/core/mask_bounds.h"

namespace attn {
namespace {

using OptionalValue = std::optional<int64_t>;

// Tokens that stand nowhere are the remap's to hide, and no concern of what is below it.
template <typename ValueOf>
void BuildRanges(const TokenAxis& axis, int64_t block_size, const ValueOf& value_of,
                 ValueRange* ranges) {
  for (int64_t begin = axis.begin(); begin < axis.end(); begin += block_size) {
    const int64_t end = std::min(begin + block_size, axis.end());
    ValueRange range;
    for (int64_t token = begin; token < end; ++token) {
      if (!axis.stands(token)) continue;
      const OptionalValue value = value_of(axis.position(token));
      if (value.has_value()) {
        range.Add(*value);
      } else {
        range.missing = true;
      }
    }
    std::construct_at(ranges + begin / block_size, range);
  }
}

OptionalValue IdAt(const program_op::SameId& same, int64_t sample, int64_t position) {
  if (!same.ids.Has(position)) return std::nullopt;
  const int64_t id = same.ids.at(sample, position);
  return same.negative_is_none && id < 0 ? std::nullopt : OptionalValue(id);
}

OptionalValue PositionAt(const program_op::Remap& remap, int64_t sample, int64_t position) {
  if (!remap.positions.Has(position)) return std::nullopt;
  return remap.positions.at(sample, position);
}

// Flags of keys that a node reads, and where they are counted from.
struct Flags {
  IndexTable table;
  int64_t begin = 0;
};
std::optional<Flags> FlagsOf(const ProgramNode& node) {
  if (const auto* flag = std::get_if<program_op::KeyFlag>(&node.op)) return Flags{flag->flags};
  const auto* dense = std::get_if<program_op::Dense>(&node.op);
  const std::optional<IndexTable> table = dense == nullptr ? std::nullopt : KeyFlagsOf(*dense);
  if (!table.has_value()) return std::nullopt;
  return Flags{*table, dense->kv_begin};
}

// Levels of key blocks that lie within one tile.
int TileLevels(int64_t block_k) {
  int levels = 0;
  while (block_k << (levels + 1) <= kTokensPerMaskTile) ++levels;
  return levels;
}

int64_t QueriesPerTile(int64_t block_q) {
  return std::max<int64_t>(1, kTokensPerMaskTile / block_q) * block_q;
}

int64_t SamplesOf(const MaskProgram& program) {
  return program.per_sample() ? program.sizes().batch : 1;
}

std::vector<int64_t> LevelSizes(int64_t key_blocks) {
  std::vector<int64_t> sizes = {key_blocks};
  while (sizes.back() > 1) sizes.push_back(CeilDivide(sizes.back(), 2));
  return sizes;
}

}  // namespace

MaskBounds::MaskBounds(const MaskProgram& program, int64_t block_q, int64_t block_k)
    : program_(program),
      block_q_(block_q),
      block_k_(block_k),
      level_sizes_(LevelSizes(CeilDivide(program.sizes().key_len, block_k))),
      tile_levels_(TileLevels(block_k)),
      query_tiles_(SamplesOf(program), program.sizes().query_len, QueriesPerTile(block_q)),
      key_tiles_(SamplesOf(program), program.sizes().key_len, block_k << tile_levels_) {
  for (const int64_t level_size : level_sizes_) {
    level_begin_.push_back(key_ranges_);
    key_ranges_ += level_size;
  }
  root_ = Mirror(program.root());
  const auto ranges = static_cast<size_t>(key_tiles_.samples() * sample_ranges_);
  if (ranges > 0)
    ranges_.reset(static_cast<ValueRange*>(operator new(ranges * sizeof(ValueRange))));
}

void MaskBounds::Free::operator()(ValueRange* ranges) const { operator delete(ranges); }

MaskBounds::Node MaskBounds::Mirror(const ProgramNode& node) {
  Node mirrored;
  mirrored.node = &node;
  const bool both_sides = std::holds_alternative<program_op::SameId>(node.op) ||
                          std::holds_alternative<program_op::Remap>(node.op);
  if (both_sides) {
    mirrored.queries = sample_ranges_;
    sample_ranges_ += CeilDivide(program_.sizes().query_len, block_q_);
  }
  if (both_sides || FlagsOf(node).has_value()) {
    mirrored.keys = sample_ranges_;
    sample_ranges_ += key_ranges_;
  }
  for (const ProgramNode& arg : ArgsOf(node)) mirrored.args.push_back(Mirror(arg));
  return mirrored;
}

int64_t MaskBounds::tiles() const {
  return sample_ranges_ == 0 ? 0 : key_tiles_.count() + query_tiles_.count();
}

void MaskBounds::RunTile(int64_t tile) {
  const bool of_keys = tile < key_tiles_.count();
  const TokenTile part = of_keys ? key_tiles_.at(tile) : query_tiles_.at(tile - key_tiles_.count());
  const TokenAxis axis(part.begin, part.end, of_keys ? program_.kv_offset() : program_.q_offset());
  for (int64_t sample = part.first_sample; sample < part.last_sample; ++sample) {
    if (of_keys) {
      BuildKeys(root_, sample, axis);
    } else {
      BuildQueries(root_, sample, axis);
    }
  }
}

void MaskBounds::BuildQueries(const Node& node, int64_t sample, const TokenAxis& queries) {
  if (const auto* offset = std::get_if<program_op::Offset>(&node.node->op)) {
    return BuildQueries(node.args.front(), sample, queries.Shifted(offset->q));
  }
  if (const auto* same = std::get_if<program_op::SameId>(&node.node->op)) {
    const auto value_of = [&](int64_t at) { return IdAt(*same, sample, at); };
    return BuildRanges(queries, block_q_, value_of, RangesOf(sample) + node.queries);
  }
  if (const auto* remap = std::get_if<program_op::Remap>(&node.node->op)) {
    const auto value_of = [&](int64_t at) { return PositionAt(*remap, sample, at); };
    BuildRanges(queries, block_q_, value_of, RangesOf(sample) + node.queries);
    return BuildQueries(node.args.front(), sample, queries.Remapped(remap->positions, sample));
  }
  for (const Node& arg : node.args) BuildQueries(arg, sample, queries);
}

void MaskBounds::BuildKeys(const Node& node, int64_t sample, const TokenAxis& keys) {
  if (const auto* offset = std::get_if<program_op::Offset>(&node.node->op)) {
    return BuildKeys(node.args.front(), sample, keys.Shifted(offset->kv));
  }
  const auto build = [&](const TokenAxis& axis, const auto& value_of) {
    BuildRanges(axis, block_k_, value_of, Level(sample, node.keys, 0));
    MergeLevels(node, sample, 1, std::min(tile_levels_, levels() - 1), axis.begin() / block_k_,
                CeilDivide(axis.end(), block_k_));
  };
  if (const auto* same = std::get_if<program_op::SameId>(&node.node->op)) {
    return build(keys, [&](int64_t at) { return IdAt(*same, sample, at); });
  }
  if (const auto* remap = std::get_if<program_op::Remap>(&node.node->op)) {
    build(keys, [&](int64_t at) { return PositionAt(*remap, sample, at); });
    return BuildKeys(node.args.front(), sample, keys.Remapped(remap->positions, sample));
  }
  if (const std::optional<Flags> flags = FlagsOf(*node.node)) {
    const IndexTable& table = flags->table;
    return build(keys.Shifted(-flags->begin), [&](int64_t at) -> OptionalValue {
      return table.Has(at) && table.at(sample, at) != 0 ? 1 : 0;
    });
  }
  for (const Node& arg : node.args) BuildKeys(arg, sample, keys);
}

// From the level below the first one; of blocks [first_block, last_block) of the finest.
void MaskBounds::MergeLevels(const Node& node, int64_t sample, int first_level, int last_level,
                             int64_t first_block, int64_t last_block) {
  for (int level = first_level; level <= last_level; ++level) {
    const ValueRange* const finer = Level(sample, node.keys, level - 1);
    ValueRange* const merged = Level(sample, node.keys, level);
    const int64_t end = CeilDivide(last_block, int64_t{1} << level);
    for (int64_t i = first_block >> level; i < end; ++i) {
      ValueRange range = finer[2 * i];
      if (2 * i + 1 < size(level - 1)) range.Merge(finer[2 * i + 1]);
      std::construct_at(merged + i, range);
    }
  }
}

void MaskBounds::Finish() {
  if (key_tiles_.stretches() == 1) return;
  for (int64_t sample = 0; sample < key_tiles_.samples(); ++sample) FinishNode(root_, sample);
}

void MaskBounds::FinishNode(const Node& node, int64_t sample) {
  if (node.keys != kNone) {
    MergeLevels(node, sample, tile_levels_ + 1, levels() - 1, 0, size(0));
  }
  for (const Node& arg : node.args) FinishNode(arg, sample);
}

double MaskBounds::Bytes(int64_t samples, int64_t tables, int64_t query_blocks,
                         int64_t key_blocks) {
  auto ranges = static_cast<double>(query_blocks);
  for (const int64_t level_size : LevelSizes(key_blocks)) {
    ranges += static_cast<double>(level_size);
  }
  return static_cast<double>(samples) * static_cast<double>(tables) * ranges * sizeof(ValueRange);
}

}  // namespace attn
