#include "kernels/core/mask_intervals.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "kernels/core/key_runs.h"
#include "kernels/core/limits.h"
#include "kernels/core/token_axis.h"

namespace attn {
namespace {

using Row = IntervalMask::Row;
using Rows = std::vector<Row>;

// Visits of nodes after which a program counts as not found: parts of an AND that are no intervals
// of their own are tried again once the others have narrowed the rows, and that nests.
constexpr int64_t kMaxVisits = 4 * kMaxMaskNodes;

bool Empty(const Row& row) { return row.begin >= row.end; }

// Axes of one node.
struct Frame {
  TokenAxis queries;
  TokenAxis keys;
};

// The rows of one sample, narrowed node by node.
class RowSearch {
 public:
  explicit RowSearch(int64_t b) : b_(b) {}

  // Cuts `rows` to what `node` leaves of them. False = that was not found to be one interval of
  // each row; `rows` are then void.
  bool Narrow(const ProgramNode& node, const Frame& frame, Rows& rows) {
    if (++visits_ > kMaxVisits) return false;
    return std::visit([&](const auto& op) { return NarrowTo(op, frame, rows); }, node.op);
  }

 private:
  // Keys whose positions lie in what `bounds` says, {first, last}, of a query's position.
  template <typename BoundsOf>
  static bool NarrowToPositions(const Frame& frame, Rows& rows, const BoundsOf& bounds) {
    for (size_t i = 0; i < rows.size(); ++i) {
      Row& row = rows[i];
      if (Empty(row)) continue;
      const auto [first, last] = bounds(frame.queries.position(static_cast<int64_t>(i)));
      if (!CutToPositions(frame.keys, first, last, row)) return false;
    }
    return true;
  }

  static bool CutToPositions(const TokenAxis& keys, int64_t first, int64_t last, Row& row) {
    if (keys.affine()) {
      row = KeyRow(std::max<int64_t>(row.begin, first - keys.shift()),
                   std::min<int64_t>(row.end, last - keys.shift() + 1));
      return true;
    }
    if (keys.RisingEnd(row.begin) < row.end) return false;
    const auto first_key_from = [&](int64_t position) {
      int64_t low = row.begin;
      int64_t high = row.end;
      while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (keys.position(middle) < position) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      return low;
    };
    row = KeyRow(first_key_from(first), first_key_from(last + 1));
    return true;
  }

  template <typename Predicate>
  static bool NarrowToKeys(int64_t count, const Predicate& set, Rows& rows) {
    const KeyFlags flags(count, set);
    return std::all_of(rows.begin(), rows.end(),
                       [&](Row& row) { return Empty(row) || flags.Narrow(row); });
  }

  bool NarrowTo(const program_op::Band& band, const Frame& frame, Rows& rows) {
    if (!band.per_head_from.empty() || !band.per_head_to.empty()) return false;
    return NarrowToPositions(frame, rows,
                             [&](int64_t q) { return std::pair(q + band.from, q + band.to); });
  }

  bool NarrowTo(const program_op::QueryAtLeastZero&, const Frame& frame, Rows& rows) {
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!Empty(rows[i]) && frame.queries.position(static_cast<int64_t>(i)) < 0) rows[i] = {};
    }
    return true;
  }

  bool NarrowTo(const program_op::SameChunk& chunked, const Frame& frame, Rows& rows) {
    const int64_t start = chunked.start[chunked.start.size() == 1 ? 0 : static_cast<size_t>(b_)];
    return NarrowToPositions(frame, rows, [&](int64_t q) {
      const int64_t first = start + ChunkOf(q, start, chunked.chunk) * chunked.chunk;
      return std::pair(first, first + chunked.chunk - 1);
    });
  }

  bool NarrowTo(const program_op::SameId& same, const Frame& frame, Rows& rows) {
    IdRuns runs(frame.keys, same.ids, b_);
    for (size_t i = 0; i < rows.size(); ++i) {
      Row& row = rows[i];
      if (Empty(row)) continue;
      const int64_t q = frame.queries.position(static_cast<int64_t>(i));
      const bool known = same.ids.Has(q);
      const int64_t id = known ? same.ids.at(b_, q) : 0;
      if (!known || (same.negative_is_none && id < 0)) {
        row = {};
      } else if (!runs.Narrow(id, row)) {
        return false;
      }
    }
    return true;
  }

  bool NarrowTo(const program_op::KeyFlag& flag, const Frame& frame, Rows& rows) {
    return NarrowToFlags(flag.flags, frame.keys, rows);
  }

  bool NarrowToFlags(const IndexTable& flags, const TokenAxis& keys, Rows& rows) const {
    const auto set = [&](int64_t key) {
      return keys.stands(key) && flags.Has(keys.position(key)) &&
             flags.at(b_, keys.position(key)) != 0;
    };
    return NarrowToKeys(keys.count(), set, rows);
  }

  bool NarrowTo(const program_op::KeyBelow& below, const Frame& frame, Rows& rows) {
    const int64_t length = below.length[below.length.size() == 1 ? 0 : static_cast<size_t>(b_)];
    return NarrowToPositions(frame, rows,
                             [&](int64_t) { return std::pair(int64_t{0}, length - 1); });
  }

  bool NarrowTo(const program_op::Dense& dense, const Frame& frame, Rows& rows) {
    const std::optional<IndexTable> flags = KeyFlagsOf(dense);
    return flags.has_value() && NarrowToFlags(*flags, frame.keys.Shifted(-dense.kv_begin), rows);
  }
  bool NarrowTo(const program_op::Blocks&, const Frame&, Rows&) { return false; }
  bool NarrowTo(const program_op::Function&, const Frame&, Rows&) { return false; }

  // Parts that are intervals narrow the rows, within which others may be intervals too: positions
  // that start anew in each packed sequence rise within one.
  bool NarrowTo(const program_op::All& all, const Frame& frame, Rows& rows) {
    std::deque<const ProgramNode*> left;
    for (const ProgramNode& arg : all.args) left.push_back(&arg);
    for (size_t failures = 0; !left.empty();) {
      Rows narrowed = rows;
      const ProgramNode* arg = left.front();
      left.pop_front();
      if (Narrow(*arg, frame, narrowed)) {
        rows = std::move(narrowed);
        failures = 0;
        continue;
      }
      left.push_back(arg);
      if (++failures == left.size()) return false;
    }
    return true;
  }

  bool NarrowTo(const program_op::Any& any, const Frame& frame, Rows& rows) {
    std::vector<Rows> parts;
    for (const ProgramNode& arg : any.args) {
      parts.push_back(rows);
      if (!Narrow(arg, frame, parts.back())) return false;
    }
    std::array<Row, kMaxMaskNodes> seen;
    for (size_t i = 0; i < rows.size(); ++i) {
      size_t count = 0;
      for (const Rows& part : parts) {
        if (!Empty(part[i])) seen[count++] = part[i];
      }
      if (!Unite({seen.data(), count}, rows[i])) return false;
    }
    return true;
  }

  // The union of the intervals; false if it has gaps.
  static bool Unite(std::span<Row> parts, Row& row) {
    row = {};
    std::sort(parts.begin(), parts.end(),
              [](const Row& a, const Row& b) { return a.begin < b.begin; });
    for (const Row& part : parts) {
      if (Empty(row)) row = part;
      if (part.begin > row.end) return false;
      row.end = std::max(row.end, part.end);
    }
    return true;
  }

  bool NarrowTo(const program_op::Not& negation, const Frame& frame, Rows& rows) {
    Rows hidden = rows;
    if (!Narrow(negation.arg.front(), frame, hidden)) return false;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (Empty(rows[i]) || Empty(hidden[i])) continue;
      const bool at_begin = hidden[i].begin == rows[i].begin;
      if (!at_begin && hidden[i].end != rows[i].end) return false;
      rows[i] =
          at_begin ? KeyRow(hidden[i].end, rows[i].end) : KeyRow(rows[i].begin, hidden[i].begin);
    }
    return true;
  }

  bool NarrowTo(const program_op::Offset& offset, const Frame& frame, Rows& rows) {
    return Narrow(offset.arg.front(),
                  {frame.queries.Shifted(offset.q), frame.keys.Shifted(offset.kv)}, rows);
  }

  bool NarrowTo(const program_op::Remap& remap, const Frame& frame, Rows& rows) {
    const Frame inner = {frame.queries.Remapped(remap.positions, b_),
                         frame.keys.Remapped(remap.positions, b_)};
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!inner.queries.stands(static_cast<int64_t>(i))) rows[i] = {};
    }
    const auto stands = [&](int64_t key) { return inner.keys.stands(key); };
    return NarrowToKeys(inner.keys.count(), stands, rows) && Narrow(remap.arg.front(), inner, rows);
  }

  const int64_t b_;
  int64_t visits_ = 0;
};

}  // namespace

std::optional<IntervalMask> FindIntervals(const MaskProgram& program, const IntervalMask& also) {
  if (program.per_head()) return std::nullopt;
  const MaskSizes& sizes = program.sizes();
  const int64_t samples = program.per_sample() || also.per_sample() ? sizes.batch : 1;
  const Frame frame = {TokenAxis(sizes.query_len, program.q_offset()),
                       TokenAxis(sizes.key_len, program.kv_offset())};
  Rows all_rows;
  for (int64_t b = 0; b < samples; ++b) {
    Rows rows;
    rows.reserve(static_cast<size_t>(sizes.query_len));
    for (int64_t query = 0; query < sizes.query_len; ++query) {
      const KeyInterval seen = also.VisibleKeys(b, query);
      rows.push_back(KeyRow(seen.begin, seen.end));
    }
    if (!RowSearch(b).Narrow(program.root(), frame, rows)) return std::nullopt;
    all_rows.insert(all_rows.end(), rows.begin(), rows.end());
  }
  return IntervalMask::FromRows(std::move(all_rows), samples, sizes.batch, sizes.query_len,
                                sizes.key_len);
}

}  // namespace attn
