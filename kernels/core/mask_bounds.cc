#include "kernels/core/mask_bounds.h"

#include <algorithm>
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

class MaskBounds::Visitor {
 public:
  Visitor(const MaskBounds& bounds, const Rectangle& at) : bounds_(bounds), at_(at) {}

  MaskVerdict Visit(const Node& node) const {
    return std::visit([&](const auto& op) { return Of(node, op); }, node.node->op);
  }

 private:
  MaskVerdict Of(const Node&, const program_op::Band& band) const {
    return Between(at_.distances(), band.first(at_.head), band.last(at_.head));
  }
  MaskVerdict Of(const Node&, const program_op::QueryAtLeastZero&) const {
    return Between(at_.q, 0, kNoBound);
  }
  MaskVerdict Of(const Node&, const program_op::SameChunk& op) const {
    const int64_t start = op.start.of(at_.b);
    return Equal(Chunks(at_.q, start, op.chunk), Chunks(at_.kv, start, op.chunk));
  }
  MaskVerdict Of(const Node& node, const program_op::SameId&) const {
    return Equal(queries(node), keys(node));
  }
  MaskVerdict Of(const Node& node, const program_op::KeyFlag&) const {
    return Between(keys(node), 1, 1);
  }
  MaskVerdict Of(const Node&, const program_op::KeyBelow& op) const {
    return Between(at_.kv, 0, op.length.of(at_.b) - 1);
  }
  MaskVerdict Of(const Node& node, const program_op::Dense&) const {
    return node.keys != kNone ? Between(keys(node), 1, 1) : MaskVerdict{};
  }
  MaskVerdict Of(const Node&, const program_op::Blocks& op) const {
    return OverBlocks(op, at_.b, at_.head, at_.q, at_.kv);
  }
  MaskVerdict Of(const Node&, const program_op::Function& op) const {
    return OverFunction(*op.function, at_.b, at_.head, at_.q, at_.kv);
  }
  MaskVerdict Of(const Node& node, const program_op::All&) const {
    MaskVerdict verdict = MaskVerdict::All();
    for (const Node& arg : node.args) {
      verdict = verdict.And(Visit(arg));
      if (verdict.none()) break;
    }
    return verdict;
  }
  MaskVerdict Of(const Node& node, const program_op::Any&) const {
    MaskVerdict verdict = MaskVerdict::All();  // Of what every argument hides.
    for (const Node& arg : node.args) {
      verdict = verdict.And(Visit(arg).Not());
      if (verdict.none()) break;
    }
    return verdict.Not();
  }
  MaskVerdict Of(const Node& node, const program_op::Not&) const {
    return Visit(node.args.front()).Not();
  }
  MaskVerdict Of(const Node& node, const program_op::Offset& op) const {
    Rectangle below = at_;
    below.q = at_.q.Shifted(op.q);
    below.kv = at_.kv.Shifted(op.kv);
    return Visitor(bounds_, below).Visit(node.args.front());
  }
  MaskVerdict Of(const Node& node, const program_op::Remap&) const {
    Rectangle below = at_;
    below.q = queries(node);
    below.kv = keys(node);
    if (below.q.none() || below.kv.none()) return MaskVerdict::None();
    MaskVerdict verdict = Visitor(bounds_, below).Visit(node.args.front());
    if (below.q.missing || below.kv.missing) verdict.may_hide = verdict.hides = true;
    return verdict;
  }

  int64_t sample() const { return bounds_.key_tiles_.samples() == 1 ? 0 : at_.b; }
  const ValueRange& queries(const Node& node) const {
    return bounds_.RangesOf(sample())[node.queries + at_.query_block];
  }
  const ValueRange& keys(const Node& node) const {
    return bounds_.Level(sample(), node.keys, at_.keys.level)[at_.keys.index];
  }

  const MaskBounds& bounds_;
  const Rectangle& at_;
};

MaskVerdict MaskBounds::Over(int64_t b, int64_t head, int64_t query_block, KeyBlocks keys) const {
  const int64_t query_end = std::min((query_block + 1) * block_q_, program_.sizes().query_len);
  const int64_t key_begin = (keys.index << keys.level) * block_k_;
  const int64_t key_end =
      std::min(((keys.index + 1) << keys.level) * block_k_, program_.sizes().key_len);
  const Rectangle at = {b,
                        head,
                        query_block,
                        keys,
                        TokensAt(query_block * block_q_, query_end, program_.q_offset()),
                        TokensAt(key_begin, key_end, program_.kv_offset())};
  return Visitor(*this, at).Visit(root_);
}

}  // namespace attn
