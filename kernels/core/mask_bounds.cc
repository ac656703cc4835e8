#include "kernels/core/mask_bounds.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <variant>

#include "kernels/core/ceil_divide.h"

namespace attn {
namespace {

ValueRange TokensAt(int64_t begin, int64_t end, int64_t shift) {
  return {begin + shift, end - 1 + shift, false, true};
}

ValueRange Chunks(const ValueRange& positions, int64_t start, int64_t chunk) {
  return {ChunkOf(positions.least, start, chunk), ChunkOf(positions.largest, start, chunk), false,
          positions.gapless};
}

int64_t OfSample(const std::vector<int64_t>& values, int64_t b) {
  return values[values.size() == 1 ? 0 : static_cast<size_t>(b)];
}

int64_t OfHead(const std::vector<int64_t>& values, int64_t head, int64_t otherwise) {
  return values.empty() ? otherwise : values[static_cast<size_t>(head)];
}

std::span<const ProgramNode> ArgsOf(const ProgramNode& node) {
  const auto args = [](const auto& op) -> std::span<const ProgramNode> {
    if constexpr (requires { op.args; }) {
      return op.args;
    } else if constexpr (requires { op.arg; }) {
      return op.arg;
    } else {
      return {};
    }
  };
  return std::visit(args, node.op);
}

bool ReadsTokens(const ProgramNode& node) {
  const auto* dense = std::get_if<program_op::Dense>(&node.op);
  return (dense != nullptr && KeyFlagsOf(*dense).has_value()) ||
         std::holds_alternative<program_op::SameId>(node.op) ||
         std::holds_alternative<program_op::KeyFlag>(node.op) ||
         std::holds_alternative<program_op::Remap>(node.op);
}

// Bits [begin, end) of a row of words: whether some are set, whether all are.
struct BitsFound {
  bool any = false;
  bool all = true;
};
void LookAtBits(const uint64_t* words, int64_t begin, int64_t end, BitsFound* found) {
  for (int64_t at = begin; at < end && (!found->any || found->all);) {
    const int64_t word = at / 64;
    const int64_t stop = std::min(end, (word + 1) * 64);
    const uint64_t mask = (~uint64_t{0} >> (64 - (stop - at))) << (at % 64);
    const uint64_t set = words[word] & mask;
    found->any = found->any || set != 0;
    found->all = found->all && set == mask;
    at = stop;
  }
}

}  // namespace

// What one visit is about: the blocks, and the positions of their tokens in a node's coordinates.
struct MaskBounds::Rectangle {
  int64_t b = 0;
  int64_t head = 0;
  int64_t query_block = 0;
  KeyBlocks keys;
  ValueRange q;
  ValueRange kv;

  bool gapless() const { return q.gapless && kv.gapless; }
  ValueRange distances() const {
    return {kv.least - q.largest, kv.largest - q.least, false, gapless()};
  }
};

namespace {

// Queries or keys of a dense mask or block mask that a range of positions covers.
struct Covered {
  int64_t begin = 0;
  int64_t end = 0;
  bool beyond = false;  // Some position lies outside, where nothing is visible.
};

Covered Cover(const ValueRange& positions, int64_t first, int64_t count) {
  const int64_t begin = positions.least - first;
  const int64_t end = positions.largest - first + 1;
  return {std::max<int64_t>(begin, 0), std::min(end, count), begin < 0 || end > count};
}

MaskVerdict OverBlocks(const program_op::Blocks& blocks, int64_t b, int64_t head,
                       const ValueRange& q, const ValueRange& kv) {
  const Covered queries = Cover(q, blocks.q_begin, blocks.query_len);
  const Covered keys = Cover(kv, blocks.kv_begin, blocks.key_len);
  if (queries.begin >= queries.end || keys.begin >= keys.end) return MaskVerdict::None();
  BitsFound found;
  for (int64_t row = queries.begin / blocks.block_q;
       row < CeilDivide(queries.end, blocks.block_q) && (!found.any || found.all); ++row) {
    LookAtBits(blocks.row(b, head, row), keys.begin / blocks.block_kv,
               CeilDivide(keys.end, blocks.block_kv), &found);
  }
  if (!found.any) return MaskVerdict::None();
  const bool beyond = queries.beyond || keys.beyond;
  if (found.all && !beyond) return MaskVerdict::All();
  const bool gapless = q.gapless && kv.gapless;
  return {.shows = gapless, .hides = beyond || gapless};
}

MaskVerdict OverFunction(const BoundMaskFunction& function, int64_t b, int64_t head,
                         const ValueRange& q, const ValueRange& kv) {
  switch (function.Extent(b, head, q.least, q.largest + 1, kv.least, kv.largest + 1)) {
    case MaskExtent::kNone:
      return MaskVerdict::None();
    case MaskExtent::kAll:
      return MaskVerdict::All();
    case MaskExtent::kSome:
      break;
  }
  return {};
}

}  // namespace

MaskBounds::MaskBounds(const MaskProgram& program, int64_t block_q, int64_t block_k)
    : program_(program), block_q_(block_q), block_k_(block_k), root_(Mirror(program.root())) {
  int64_t blocks = CeilDivide(program.sizes().key_len, block_k);
  level_sizes_.push_back(blocks);
  for (; blocks > 1; level_sizes_.push_back(blocks)) blocks = CeilDivide(blocks, 2);
  tables_.resize(static_cast<size_t>(program.per_sample() ? program.sizes().batch : 1));
}

MaskBounds::Node MaskBounds::Mirror(const ProgramNode& node) {
  Node mirrored;
  mirrored.node = &node;
  if (ReadsTokens(node)) mirrored.table = table_count_++;
  for (const ProgramNode& arg : ArgsOf(node)) mirrored.args.push_back(Mirror(arg));
  return mirrored;
}

void MaskBounds::Build(int64_t sample) {
  tables_[static_cast<size_t>(sample)].resize(static_cast<size_t>(table_count_));
  BuildNode(root_, sample, TokenAxis(program_.sizes().query_len, program_.q_offset()),
            TokenAxis(program_.sizes().key_len, program_.kv_offset()));
}

template <typename ValueOf>
void MaskBounds::BuildTable(const Node& node, int64_t sample, const TokenAxis& queries,
                            const TokenAxis& keys, const ValueOf& value_of) {
  // Tokens that stand nowhere are the remap's to hide, and no concern of what is below it.
  const auto ranges_of = [&](const TokenAxis& axis, int64_t block) {
    std::vector<ValueRange> ranges(static_cast<size_t>(CeilDivide(axis.count(), block)));
    for (int64_t token = 0; token < axis.count(); ++token) {
      if (!axis.stands(token)) continue;
      ValueRange& range = ranges[static_cast<size_t>(token / block)];
      const std::optional<int64_t> value = value_of(axis.position(token));
      if (value.has_value()) {
        range.Add(*value);
      } else {
        range.missing = true;
      }
    }
    return ranges;
  };
  Table& table = tables_[static_cast<size_t>(sample)][static_cast<size_t>(node.table)];
  table.queries = ranges_of(queries, block_q_);
  table.keys.push_back(ranges_of(keys, block_k_));
  for (int level = 1; level < levels(); ++level) {
    const std::vector<ValueRange>& below = table.keys.back();
    std::vector<ValueRange> merged(static_cast<size_t>(size(level)));
    for (size_t i = 0; i < below.size(); ++i) merged[i / 2].Merge(below[i]);
    table.keys.push_back(std::move(merged));
  }
}

void MaskBounds::BuildNode(const Node& node, int64_t sample, const TokenAxis& queries,
                           const TokenAxis& keys) {
  using Value = std::optional<int64_t>;
  if (const auto* offset = std::get_if<program_op::Offset>(&node.node->op)) {
    return BuildNode(node.args.front(), sample, queries.Shifted(offset->q),
                     keys.Shifted(offset->kv));
  }
  if (const auto* remap = std::get_if<program_op::Remap>(&node.node->op)) {
    const IndexTable& positions = remap->positions;
    BuildTable(node, sample, queries, keys, [&](int64_t at) -> Value {
      return positions.Has(at) ? Value(positions.at(sample, at)) : std::nullopt;
    });
    return BuildNode(node.args.front(), sample, queries.Remapped(positions, sample),
                     keys.Remapped(positions, sample));
  }
  if (const auto* same = std::get_if<program_op::SameId>(&node.node->op)) {
    return BuildTable(node, sample, queries, keys, [&](int64_t at) -> Value {
      if (!same->ids.Has(at)) return std::nullopt;
      const int64_t id = same->ids.at(sample, at);
      return same->negative_is_none && id < 0 ? std::nullopt : Value(id);
    });
  }
  const auto build_flags = [&](const IndexTable& flags, const TokenAxis& flagged) {
    BuildTable(node, sample, TokenAxis(0, 0), flagged, [&](int64_t at) -> Value {
      return flags.Has(at) && flags.at(sample, at) != 0 ? 1 : 0;
    });
  };
  if (const auto* flag = std::get_if<program_op::KeyFlag>(&node.node->op)) {
    return build_flags(flag->flags, keys);
  }
  if (const auto* dense = std::get_if<program_op::Dense>(&node.node->op);
      dense && node.table >= 0) {
    return build_flags(*KeyFlagsOf(*dense), keys.Shifted(-dense->kv_begin));
  }
  for (const Node& arg : node.args) BuildNode(arg, sample, queries, keys);
}

MaskVerdict MaskBounds::Over(int64_t b, int64_t head, int64_t query_block, KeyBlocks keys) const {
  const int64_t query_end = std::min((query_block + 1) * block_q_, program_.sizes().query_len);
  const int64_t key_begin = (keys.index << keys.level) * block_k_;
  const int64_t key_end =
      std::min(((keys.index + 1) << keys.level) * block_k_, program_.sizes().key_len);
  return Visit(root_, {b, head, query_block, keys,
                       TokensAt(query_block * block_q_, query_end, program_.q_offset()),
                       TokensAt(key_begin, key_end, program_.kv_offset())});
}

MaskVerdict MaskBounds::Visit(const Node& node, const Rectangle& at) const {
  struct Visitor {
    MaskVerdict operator()(const program_op::Band& band) const {
      return Between(at.distances(), OfHead(band.per_head_from, at.head, band.from),
                     OfHead(band.per_head_to, at.head, band.to));
    }
    MaskVerdict operator()(const program_op::QueryAtLeastZero&) const {
      return Between(at.q, 0, kNoBound);
    }
    MaskVerdict operator()(const program_op::SameChunk& op) const {
      const int64_t start = OfSample(op.start, at.b);
      return Equal(Chunks(at.q, start, op.chunk), Chunks(at.kv, start, op.chunk));
    }
    MaskVerdict operator()(const program_op::SameId&) const { return Equal(queries(), keys()); }
    MaskVerdict operator()(const program_op::KeyFlag&) const { return Between(keys(), 1, 1); }
    MaskVerdict operator()(const program_op::KeyBelow& op) const {
      return Between(at.kv, 0, OfSample(op.length, at.b) - 1);
    }
    MaskVerdict operator()(const program_op::Dense&) const {
      return node.table >= 0 ? Between(keys(), 1, 1) : MaskVerdict{};
    }
    MaskVerdict operator()(const program_op::Blocks& op) const {
      return OverBlocks(op, at.b, at.head, at.q, at.kv);
    }
    MaskVerdict operator()(const program_op::Function& op) const {
      return OverFunction(*op.function, at.b, at.head, at.q, at.kv);
    }
    MaskVerdict operator()(const program_op::All&) const {
      MaskVerdict verdict = MaskVerdict::All();
      for (const Node& arg : node.args) {
        verdict = verdict.And(bounds.Visit(arg, at));
        if (verdict.none()) break;
      }
      return verdict;
    }
    MaskVerdict operator()(const program_op::Any&) const {
      MaskVerdict verdict = MaskVerdict::All();  // Of what every argument hides.
      for (const Node& arg : node.args) {
        verdict = verdict.And(bounds.Visit(arg, at).Not());
        if (verdict.none()) break;
      }
      return verdict.Not();
    }
    MaskVerdict operator()(const program_op::Not&) const {
      return bounds.Visit(node.args.front(), at).Not();
    }
    MaskVerdict operator()(const program_op::Offset& op) const {
      Rectangle below = at;
      below.q = at.q.Shifted(op.q);
      below.kv = at.kv.Shifted(op.kv);
      return bounds.Visit(node.args.front(), below);
    }
    MaskVerdict operator()(const program_op::Remap&) const {
      if (queries().none() || keys().none()) return MaskVerdict::None();
      Rectangle below = at;
      below.q = queries();
      below.kv = keys();
      MaskVerdict verdict = bounds.Visit(node.args.front(), below);
      if (queries().missing || keys().missing) verdict.may_hide = verdict.hides = true;
      return verdict;
    }

    const Table& table() const {
      const size_t sample = bounds.samples() == 1 ? 0 : static_cast<size_t>(at.b);
      return bounds.tables_[sample][static_cast<size_t>(node.table)];
    }
    const ValueRange& queries() const {
      return table().queries[static_cast<size_t>(at.query_block)];
    }
    const ValueRange& keys() const {
      return table().keys[static_cast<size_t>(at.keys.level)][static_cast<size_t>(at.keys.index)];
    }

    const MaskBounds& bounds;
    const Node& node;
    const Rectangle& at;
  };
  return std::visit(Visitor{*this, node, at}, node.node->op);
}

double MaskBounds::Bytes(int64_t samples, int64_t nodes, int64_t query_blocks, int64_t key_blocks) {
  const double ranges = static_cast<double>(query_blocks) + 2.0 * static_cast<double>(key_blocks) +
                        64.0;  // Levels round up.
  return static_cast<double>(samples) * static_cast<double>(nodes) * ranges * sizeof(ValueRange);
}

}  // namespace attn
