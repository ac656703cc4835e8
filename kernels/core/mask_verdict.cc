#include "kernels/core/mask_verdict.h"

#include <algorithm>

namespace attn {
namespace {

// Whether some integer lies between them; ids may be any.
bool GapBetween(int64_t low, int64_t high) {
  return low<high&& static_cast<uint64_t>(high) - static_cast<uint64_t>(low)> 1;
}

bool Within(int64_t value, const ValueRange& range) {
  return range.least <= value && value <= range.largest;
}

}  // namespace

MaskVerdict MaskVerdict::And(const MaskVerdict& other) const {
  return {.may_show = may_show && other.may_show,
          .may_hide = may_hide || other.may_hide,
          .shows = (all() && other.shows) || (other.all() && shows),
          .hides = hides || other.hides};
}

void ValueRange::Add(int64_t value) {
  gapless = gapless && (none() || (!GapBetween(value, least) && !GapBetween(largest, value)));
  least = std::min(least, value);
  largest = std::max(largest, value);
}

void ValueRange::Merge(const ValueRange& other) {
  const bool touch = none() || other.none() ||
                     (!GapBetween(largest, other.least) && !GapBetween(other.largest, least));
  gapless = gapless && other.gapless && touch;
  least = std::min(least, other.least);
  largest = std::max(largest, other.largest);
  missing = missing || other.missing;
}

MaskVerdict Between(const ValueRange& values, int64_t from, int64_t to) {
  if (values.largest < from || values.least > to) return MaskVerdict::None();
  if (from <= values.least && values.largest <= to) return MaskVerdict::All();
  const ValueRange allowed = {from, to, false, true};
  const bool overlaps = std::max(from, values.least) <= std::min(to, values.largest);
  return {.shows = Within(values.least, allowed) || Within(values.largest, allowed) ||
                   (values.gapless && overlaps),
          .hides = true};
}

MaskVerdict Equal(const ValueRange& a, const ValueRange& b) {
  if (a.none() || b.none() || a.largest < b.least || b.largest < a.least) {
    return MaskVerdict::None();
  }
  const bool hides = a.missing || b.missing || a.least < a.largest || b.least < b.largest;
  if (!hides) return MaskVerdict::All();
  const bool ends_meet =
      a.least == b.least || a.least == b.largest || a.largest == b.least || a.largest == b.largest;
  const bool end_in_a = a.gapless && (Within(b.least, a) || Within(b.largest, a));
  const bool end_in_b = b.gapless && (Within(a.least, b) || Within(a.largest, b));
  return {.shows = ends_meet || end_in_a || end_in_b, .hides = true};
}

}  // namespace attn
