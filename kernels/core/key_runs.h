// Keys by what is said of them alone, flags and ids, so that the stretch of keys that one query
// sees is cut to them in O(1) or O(log Sk).
#ifndef ATTN_KERNELS_CORE_KEY_RUNS_H_
#define ATTN_KERNELS_CORE_KEY_RUNS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/core/mask.h"
#include "kernels/core/mask_program.h"
#include "kernels/core/token_axis.h"

namespace attn {

// Keys [begin, end), {0, 0} where there are none.
inline IntervalMask::Row KeyRow(int64_t begin, int64_t end) {
  if (begin >= end) return {};
  return {static_cast<int32_t>(begin), static_cast<int32_t>(end)};
}

// Keys that a predicate of the key alone leaves, so that one stretch of them is cut in O(1).
class KeyFlags {
 public:
  template <typename Predicate>
  KeyFlags(int64_t count, const Predicate& set)
      : next_set_(static_cast<size_t>(count) + 1), next_clear_(next_set_.size()) {
    next_set_.back() = static_cast<int32_t>(count);
    next_clear_.back() = static_cast<int32_t>(count);
    for (auto key = static_cast<size_t>(count); key-- > 0;) {
      const bool is_set = set(static_cast<int64_t>(key));
      next_set_[key] = is_set ? static_cast<int32_t>(key) : next_set_[key + 1];
      next_clear_[key] = is_set ? next_clear_[key + 1] : static_cast<int32_t>(key);
    }
  }

  // False if what they leave of the row is more than one interval.
  bool Narrow(IntervalMask::Row& row) const {
    const int32_t begin = next_set_[static_cast<size_t>(row.begin)];
    if (begin >= row.end) {
      row = {};
      return true;
    }
    const int32_t end = std::min(row.end, next_clear_[static_cast<size_t>(begin)]);
    const bool one = next_set_[static_cast<size_t>(end)] >= row.end;
    row = {begin, end};
    return one;
  }

 private:
  std::vector<int32_t> next_set_;  // [count + 1] first key at or after this one that is set
  std::vector<int32_t> next_clear_;
};

// Runs of neighbouring keys with one id, found by id.
class IdRuns {
 public:
  IdRuns(const TokenAxis& keys, const IndexTable& ids, int64_t b) {
    for (int64_t key = 0; key < keys.count(); ++key) {
      if (!keys.stands(key) || !ids.Has(keys.position(key))) continue;
      const int64_t id = ids.at(b, keys.position(key));
      const bool joins = !runs_.empty() && runs_.back().id == id && runs_.back().keys.end == key;
      if (joins) {
        ++runs_.back().keys.end;
      } else {
        runs_.push_back({id, KeyRow(key, key + 1)});
      }
    }
    std::sort(runs_.begin(), runs_.end(), [](const Run& run, const Run& other) {
      return std::pair(run.id, run.keys.begin) < std::pair(other.id, other.keys.begin);
    });
  }

  // Keys of `id` within the row; false if they are more than one interval.
  bool Narrow(int64_t id, IntervalMask::Row& row) {
    // Neighbouring queries mostly have one id and see the same run.
    const bool again = last_ < runs_.size() && runs_[last_].id == id &&
                       runs_[last_].keys.begin <= row.begin && row.begin < runs_[last_].keys.end;
    if (!again) {
      const auto found = std::partition_point(runs_.begin(), runs_.end(), [&](const Run& run) {
        return run.id < id || (run.id == id && run.keys.end <= row.begin);
      });
      last_ = static_cast<size_t>(found - runs_.begin());
    }
    if (last_ == runs_.size() || runs_[last_].id != id) {
      row = {};
      return true;
    }
    const bool one = last_ + 1 == runs_.size() || runs_[last_ + 1].id != id ||
                     runs_[last_ + 1].keys.begin >= row.end;
    row = KeyRow(std::max(row.begin, runs_[last_].keys.begin),
                 std::min(row.end, runs_[last_].keys.end));
    return one;
  }

 private:
  struct Run {
    int64_t id = 0;
    IntervalMask::Row keys;
  };
  std::vector<Run> runs_;  // Ascending by id, then by key.
  size_t last_ = 0;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_KEY_RUNS_H_
