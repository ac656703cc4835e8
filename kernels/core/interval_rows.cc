#include "kernels/core/interval_rows.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>
#include <span>
#include <utility>
#include <variant>

#include "kernels/core/key_runs.h"
#include "kernels/core/limits.h"
#include "kernels/core/token_axis.h"

namespace attn {
namespace {

using Row = IntervalMask::Row;
using Rows = std::vector<Row>;

// Work on each row after which a program counts as not found: parts of an AND that are no intervals
// of their own are tried again once the others have narrowed the rows, and that nests. Masks of
// models take some tens.
constexpr int64_t kMaxWork = 16 * kMaxMaskNodes;

// Work of a search among remapped keys, for each remap above it.
constexpr int64_t kSearchWork = 8;

bool Empty(const Row& row) { return row.begin >= row.end; }

// Where keys stand in the coordinates of a node, looked up where it is asked.
class KeyPath {
 public:
  explicit KeyPath(int64_t shift) : shifts_({shift}) {}

  KeyPath Shifted(int64_t by) const {
    KeyPath path = *this;
    path.shifts_.back() += by;
    return path;
  }
  KeyPath Remapped(const IndexTable& positions, std::span<const KeyRun> rising) const {
    KeyPath path = *this;
    path.tables_.push_back(&positions);
    path.shifts_.push_back(0);
    path.rising_ = rising;
    return path;
  }

  bool affine() const { return tables_.empty(); }
  int64_t remaps() const { return static_cast<int64_t>(tables_.size()); }
  int64_t shift() const { return shifts_.front(); }

  // Of keys that stand somewhere.
  int64_t position(int64_t b, int64_t key) const {
    int64_t at = key + shifts_.front();
    for (size_t i = 0; i < tables_.size(); ++i) at = tables_[i]->at(b, at) + shifts_[i + 1];
    return at;
  }

  // Below a remap: whether positions do not fall from the first key of the row to its last.
  bool Rises(const Row& row) const {
    const auto run = RunEndingBehind(rising_, row.begin);
    return run != rising_.end() && run->begin <= row.begin && row.end <= run->end;
  }

 private:
  std::vector<int64_t> shifts_;  // Before the first table, and behind each.
  std::vector<const IndexTable*> tables_;
  std::span<const KeyRun> rising_;
};

// Axes of one node.
struct RowFrame {
  TokenAxis queries;
  KeyPath keys;
};

// Narrows rows node by node.
class RowNarrower {
 public:
  RowNarrower(const KeyRunTables& tables, int64_t b) : tables_(tables), b_(b) {}

  bool Narrow(const ProgramNode& node, const RowFrame& frame, Rows& rows) {
    work_ += 1 + kSearchWork * frame.keys.remaps();
    if (work_ > kMaxWork) return false;
    return std::visit([&](const auto& op) { return NarrowTo(node, op, frame, rows); }, node.op);
  }

 private:
  // Keys whose positions lie in what `bounds` says, {first, last}, of a query's position.
  template <typename BoundsOf>
  bool NarrowToPositions(const RowFrame& frame, Rows& rows, const BoundsOf& bounds) const {
    int64_t query = frame.queries.begin();
    for (Row& row : rows) {
      if (!Empty(row)) {
        const auto [first, last] = bounds(frame.queries.position(query));
        if (!CutToPositions(frame.keys, first, last, row)) return false;
      }
      ++query;
    }
    return true;
  }

  bool CutToPositions(const KeyPath& keys, int64_t first, int64_t last, Row& row) const {
    if (keys.affine()) {
      row = KeyRow(std::max<int64_t>(row.begin, first - keys.shift()),
                   std::min<int64_t>(row.end, last - keys.shift() + 1));
      return true;
    }
    if (!keys.Rises(row)) return false;
    const auto first_key_from = [&](int64_t position) {
      int64_t low = row.begin;
      int64_t high = row.end;
      while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (keys.position(b_, middle) < position) {
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

  bool NarrowToFlags(const ProgramNode& node, Rows& rows) const {
    const std::span<const KeyRun> runs = tables_.of(node, b_);
    return std::all_of(rows.begin(), rows.end(),
                       [&](Row& row) { return Empty(row) || NarrowToRuns(runs, row); });
  }

  bool NarrowTo(const ProgramNode&, const program_op::Band& band, const RowFrame& frame,
                Rows& rows) const {
    const int64_t from = band.first(0);
    const int64_t to = band.last(0);
    return NarrowToPositions(frame, rows, [&](int64_t q) { return std::pair(q + from, q + to); });
  }

  bool NarrowTo(const ProgramNode&, const program_op::QueryAtLeastZero&, const RowFrame& frame,
                Rows& rows) const {
    int64_t query = frame.queries.begin();
    for (Row& row : rows) {
      if (!Empty(row) && frame.queries.position(query) < 0) row = {};
      ++query;
    }
    return true;
  }

  bool NarrowTo(const ProgramNode&, const program_op::SameChunk& chunked, const RowFrame& frame,
                Rows& rows) const {
    const int64_t start = chunked.start.of(b_);
    return NarrowToPositions(frame, rows, [&](int64_t q) {
      const int64_t first = start + ChunkOf(q, start, chunked.chunk) * chunked.chunk;
      return std::pair(first, first + chunked.chunk - 1);
    });
  }

  bool NarrowTo(const ProgramNode& node, const program_op::SameId& same, const RowFrame& frame,
                Rows& rows) const {
    const std::span<const KeyRun> runs = tables_.of(node, b_);
    size_t hint = 0;
    int64_t query = frame.queries.begin();
    for (Row& row : rows) {
      if (!Empty(row)) {
        const int64_t q = frame.queries.position(query);
        const bool known = same.ids.Has(q);
        const int64_t id = known ? same.ids.at(b_, q) : 0;
        if (!known || (same.negative_is_none && id < 0)) {
          row = {};
        } else if (!NarrowToId(runs, id, hint, row)) {
          return false;
        }
      }
      ++query;
    }
    return true;
  }

  bool NarrowTo(const ProgramNode& node, const program_op::KeyFlag&, const RowFrame&,
                Rows& rows) const {
    return NarrowToFlags(node, rows);
  }
  bool NarrowTo(const ProgramNode& node, const program_op::Dense&, const RowFrame&,
                Rows& rows) const {
    return NarrowToFlags(node, rows);
  }

  bool NarrowTo(const ProgramNode&, const program_op::KeyBelow& below, const RowFrame& frame,
                Rows& rows) const {
    const int64_t length = below.length.of(b_);
    return NarrowToPositions(frame, rows,
                             [&](int64_t) { return std::pair(int64_t{0}, length - 1); });
  }

  bool NarrowTo(const ProgramNode&, const program_op::Blocks&, const RowFrame&, Rows&) const {
    return false;
  }
  bool NarrowTo(const ProgramNode&, const program_op::Function&, const RowFrame&, Rows&) const {
    return false;
  }

  // Parts that are intervals narrow the rows, within which others may be intervals too: positions
  // that start anew in each packed sequence rise within one.
  bool NarrowTo(const ProgramNode&, const program_op::All& all, const RowFrame& frame, Rows& rows) {
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

  bool NarrowTo(const ProgramNode&, const program_op::Any& any, const RowFrame& frame, Rows& rows) {
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

  bool NarrowTo(const ProgramNode&, const program_op::Not& negation, const RowFrame& frame,
                Rows& rows) {
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

  bool NarrowTo(const ProgramNode&, const program_op::Offset& offset, const RowFrame& frame,
                Rows& rows) {
    return Narrow(offset.arg.front(),
                  {frame.queries.Shifted(offset.q), frame.keys.Shifted(offset.kv)}, rows);
  }

  bool NarrowTo(const ProgramNode& node, const program_op::Remap& remap, const RowFrame& frame,
                Rows& rows) {
    const RowFrame inner = {frame.queries.Remapped(remap.positions, b_),
                            frame.keys.Remapped(remap.positions, tables_.rising(node, b_))};
    int64_t query = inner.queries.begin();
    for (Row& row : rows) {
      if (!inner.queries.stands(query++)) row = {};
    }
    return NarrowToFlags(node, rows) && Narrow(remap.arg.front(), inner, rows);
  }

  const KeyRunTables& tables_;
  const int64_t b_;
  int64_t work_ = 0;
};

}  // namespace

bool NarrowRows(const MaskProgram& program, const KeyRunTables& tables, int64_t b,
                int64_t first_query, std::vector<IntervalMask::Row>& rows) {
  const int64_t last_query = first_query + static_cast<int64_t>(rows.size());
  const RowFrame frame = {TokenAxis(first_query, last_query, program.q_offset()),
                          KeyPath(program.kv_offset())};
  return RowNarrower(tables, b).Narrow(program.root(), frame, rows);
}

}  // namespace attn
