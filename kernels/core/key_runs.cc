#include "kernels/core/key_runs.h"

#include <algorithm>

namespace attn {

std::span<const KeyRun>::iterator RunEndingBehind(std::span<const KeyRun> runs, int64_t key) {
  return std::partition_point(runs.begin(), runs.end(),
                              [&](const KeyRun& run) { return run.end <= key; });
}

bool NarrowToRuns(std::span<const KeyRun> runs, IntervalMask::Row& row) {
  const auto found = RunEndingBehind(runs, row.begin);
  if (found == runs.end() || found->begin >= row.end) {
    row = {};
    return true;
  }
  const bool one = found + 1 == runs.end() || (found + 1)->begin >= row.end;
  row = KeyRow(std::max(row.begin, found->begin), std::min(row.end, found->end));
  return one;
}

size_t FindId(std::span<const KeyRun> runs, int64_t id, int64_t key) {
  const auto found = std::partition_point(runs.begin(), runs.end(), [&](const KeyRun& run) {
    return run.first < id || (run.first == id && run.end <= key);
  });
  return static_cast<size_t>(found - runs.begin());
}

}  // namespace attn
