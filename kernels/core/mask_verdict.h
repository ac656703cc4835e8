// What bounds on integers say of predicates over them: positions, ids, flags of the tokens of one
// side of a rectangle of elements.
#ifndef ATTN_KERNELS_CORE_MASK_VERDICT_H_
#define ATTN_KERNELS_CORE_MASK_VERDICT_H_

#include <cstdint>
#include <limits>

namespace attn {

// Of the elements of a rectangle. `may_show` false = none is visible, `may_hide` false = all are;
// `shows` and `hides` = one is surely visible, surely hidden.
struct MaskVerdict {
  bool may_show = true;
  bool may_hide = true;
  bool shows = false;
  bool hides = false;

  static constexpr MaskVerdict None() { return {false, true, false, true}; }
  static constexpr MaskVerdict All() { return {true, false, true, false}; }
  bool none() const { return !may_show; }
  bool all() const { return !may_hide; }

  // Of the elements that both leave.
  MaskVerdict And(const MaskVerdict& other) const;
  MaskVerdict Not() const { return {may_hide, may_show, hides, shows}; }
};

// Integers of some tokens. Least and largest are values that tokens have.
struct ValueRange {
  int64_t least = std::numeric_limits<int64_t>::max();
  int64_t largest = std::numeric_limits<int64_t>::min();
  bool missing = false;  // Some token has none.
  bool gapless = true;   // Every integer between the two is there as well.

  bool none() const { return least > largest; }
  void Add(int64_t value);
  void Merge(const ValueRange& other);
  // Of values that were moved by as much.
  ValueRange Shifted(int64_t by) const { return {least + by, largest + by, missing, gapless}; }
};

// Of elements with these values, each one's from `from` to `to`.
MaskVerdict Between(const ValueRange& values, int64_t from, int64_t to);

// Of elements with a value of each side: both equal. A token without a value equals none.
MaskVerdict Equal(const ValueRange& a, const ValueRange& b);

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_MASK_VERDICT_H_
