// Runs of neighbouring keys that a table of a mask program makes alike, by which the stretch of
// keys that a query sees is cut in O(log runs).
#ifndef ATTN_KERNELS_CORE_KEY_RUNS_H_
#define ATTN_KERNELS_CORE_KEY_RUNS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/core/mask.h"

namespace attn {

// Keys [begin, end), {0, 0} where there are none.
inline IntervalMask::Row KeyRow(int64_t begin, int64_t end) {
  if (begin >= end) return {};
  return {static_cast<int32_t>(begin), static_cast<int32_t>(end)};
}

// Keys [begin, end), the values of the first and of the last of them.
struct KeyRun {
  int32_t begin = 0;
  int32_t end = 0;
  int64_t first = 0;
  int64_t last = 0;
};

// What makes neighbours one run.
enum class KeyRunKind : uint8_t {
  kFlag,    // That they are set; others are in no run.
  kId,      // That they have one id. Runs ascend by id, those of one id by key; else by key.
  kRising,  // That their positions do not fall.
};

inline bool Joins(KeyRunKind kind, int64_t value, int64_t next) {
  return kind == KeyRunKind::kFlag || (kind == KeyRunKind::kId ? value == next : value <= next);
}

// The first run, of those ascending by key, that ends behind `key`.
std::span<const KeyRun>::iterator RunEndingBehind(std::span<const KeyRun> runs, int64_t key);

// Cuts `row`, not empty, to the keys of runs of kFlag; false if they are more than one interval.
bool NarrowToRuns(std::span<const KeyRun> runs, IntervalMask::Row& row);

// The first run of kId with `id` that ends behind `key`, else where it would stand.
size_t FindId(std::span<const KeyRun> runs, int64_t id, int64_t key);

// Cuts `row` to the keys with `id`, by runs of kId; false if they are more than one interval.
// `hint` is the place of the run found last: neighbouring queries mostly see the same one.
inline bool NarrowToId(std::span<const KeyRun> runs, int64_t id, size_t& hint,
                       IntervalMask::Row& row) {
  const bool again = hint < runs.size() && runs[hint].first == id &&
                     runs[hint].begin <= row.begin && row.begin < runs[hint].end;
  if (!again) hint = FindId(runs, id, row.begin);
  if (hint == runs.size() || runs[hint].first != id) {
    row = {};
    return true;
  }
  const bool one =
      hint + 1 == runs.size() || runs[hint + 1].first != id || runs[hint + 1].begin >= row.end;
  row = KeyRow(std::max(row.begin, runs[hint].begin), std::min(row.end, runs[hint].end));
  return one;
}

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_KEY_RUNS_H_
