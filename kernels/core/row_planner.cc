#include "kernels/core/row_planner.h"

#include <algorithm>

#include "kernels/core/ceil_divide.h"
#include "kernels/core/token_range.h"

namespace attn {
namespace {

// Rows of a block that are evaluated at a time: mostly the first ones tell what a block is.
constexpr int64_t kEvaluatedQueries = 16;

constexpr int64_t kBitsAWord = 64;

// So many that a tile is worth its start, few enough that the rows of one call spread over threads.
constexpr int64_t kQueriesPerTile = 1024;

// Elements that a tile looks at, times nodes, were it to look at all: some tens of milliseconds.
constexpr double kTileWork = int64_t{1} << 30;

// What a block costs, in elements, that is not looked at: its bounds, or its entry.
constexpr double kBlockWork = 1024;

int64_t CountNodes(const MaskNode& node) {
  int64_t count = 1;
  for (const MaskNode& arg : ArgsOf(node)) count += CountNodes(arg);
  return count;
}

// What the intervals leave of a rectangle of some queries.
MaskVerdict OverInterval(const IntervalMask::Bounds& rows, int64_t key_begin, int64_t key_end) {
  if (rows.any.begin >= key_end || rows.any.end <= key_begin) return MaskVerdict::None();
  if (rows.all.begin <= key_begin && key_end <= rows.all.end) return MaskVerdict::All();
  return {.shows = rows.all.begin < key_end && key_begin < rows.all.end, .hides = true};
}

// Whether bits [0, count) hold a 1, and a 0.
void LookAtRow(const uint64_t* words, int64_t count, MaskVerdict* verdict) {
  for (int64_t first = 0; first < count; first += kBitsAWord) {
    const int64_t bits = std::min(kBitsAWord, count - first);
    const uint64_t all = ~uint64_t{0} >> (kBitsAWord - bits);
    const uint64_t set = words[first / kBitsAWord] & all;
    verdict->shows = verdict->shows || set != 0;
    verdict->hides = verdict->hides || set != all;
  }
}

}  // namespace

RowTiles CutRows(const MaskExpression* expression, int64_t block_q, int64_t block_k,
                 int64_t key_len) {
  const int64_t blocks = CeilDivide(key_len, block_k);
  double block_work = kBlockWork;
  if (expression != nullptr) {
    block_work += static_cast<double>(block_q) * static_cast<double>(block_k);
    block_work *= static_cast<double>(CountNodes(expression->spec().root));
  }
  const double rows_of_work = kTileWork / (block_work * static_cast<double>(blocks));
  const int64_t most_rows = std::max<int64_t>(1, kQueriesPerTile / block_q);
  RowTiles tiles;
  tiles.rows = std::clamp<int64_t>(static_cast<int64_t>(rows_of_work), 1, most_rows);
  const bool all_keys = expression == nullptr || rows_of_work >= 1;
  for (int64_t held = 1; held < blocks; held *= 2, ++tiles.key_level) {
    if (!all_keys && static_cast<double>(2 * held) * block_work > kTileWork) break;
  }
  tiles.stretches = CeilDivide(blocks, int64_t{1} << tiles.key_level);
  return tiles;
}

int64_t RowPlanner::WordsOf(int64_t block_k) {
  return kEvaluatedQueries * CeilDivide(block_k, kBitsAWord);
}

void RowPlanner::Append(int64_t b, int64_t head, int64_t query_block, KeyBlocks keys,
                        std::vector<PlanEntry>* entries) {
  b_ = b;
  head_ = head;
  query_block_ = query_block;
  query_begin_ = query_block * block_q_;
  query_end_ = std::min(query_begin_ + block_q_, intervals_.query_len());
  rows_ = intervals_.VisibleKeys(b, query_begin_, query_end_);
  Descend(keys, entries);
}

void RowPlanner::Descend(KeyBlocks keys, std::vector<PlanEntry>* entries) {
  const int64_t first = keys.index << keys.level;
  const int64_t last = std::min((keys.index + 1) << keys.level, bounds_.size(0));
  MaskVerdict verdict = OverInterval(rows_, KeyOf(first), KeyOf(last));
  if (!verdict.none()) verdict = verdict.And(bounds_.Over(b_, head_, query_block_, keys));
  if (verdict.none()) return;
  if (verdict.all()) {
    for (int64_t block = first; block < last; ++block) {
      entries->push_back({.key_block = static_cast<int32_t>(block)});
    }
    return;
  }
  if (keys.level == 0) {
    Look(first, &verdict);
    if (verdict.shows) {
      entries->push_back({.key_block = static_cast<int32_t>(first),
                          .mask = verdict.hides ? BlockMask::kPredicate : BlockMask::kFull});
    }
    return;
  }
  for (const int64_t half : {2 * keys.index, 2 * keys.index + 1}) {
    if (half < bounds_.size(keys.level - 1)) Descend({keys.level - 1, half}, entries);
  }
}

void RowPlanner::Look(int64_t key_block, MaskVerdict* verdict) {
  const TokenRange keys = {KeyOf(key_block), KeyOf(key_block + 1)};
  const int64_t words_per_query = CeilDivide(keys.size(), kBitsAWord);
  const bool cut = !OverInterval(rows_, keys.begin, keys.end).all();
  for (int64_t query = query_begin_; query < query_end_; query += kEvaluatedQueries) {
    if (verdict->shows && verdict->hides) return;
    const TokenRange queries = {query, std::min(query + kEvaluatedQueries, query_end_)};
    if (cut) {
      MaskPredicate{&intervals_, &program_}.Evaluate(b_, head_, queries, keys, words_,
                                                     words_per_query);
    } else {
      program_.Evaluate(b_, head_, queries, keys, words_, words_per_query);
    }
    for (int64_t i = 0; i < queries.size(); ++i) {
      LookAtRow(words_ + i * words_per_query, keys.size(), verdict);
    }
  }
}

int64_t RowPlanner::KeyOf(int64_t block) const {
  return std::min(block * block_k_, intervals_.key_len());
}

}  // namespace attn
