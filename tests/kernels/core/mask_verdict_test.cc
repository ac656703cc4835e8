#include "kernels/core/mask_verdict.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <vector>

namespace attn {
namespace {

// Values of some tokens; kMissing = none.
constexpr int64_t kMissing = std::numeric_limits<int64_t>::min() + 1;

std::vector<int64_t> DrawValues(std::mt19937_64& random) {
  std::vector<int64_t> values(1 + random() % 4);
  for (int64_t& value : values) value = static_cast<int64_t>(random() % 9) - 4;
  if (random() % 4 == 0) values.front() = kMissing;
  return values;
}

ValueRange RangeOf(const std::vector<int64_t>& values) {
  ValueRange range;
  for (const int64_t value : values) {
    if (value == kMissing) {
      range.missing = true;
    } else {
      range.Add(value);
    }
  }
  return range;
}

// What a verdict says must be so; what it rules out must not be.
void ExpectHolds(const MaskVerdict& verdict, bool any, bool all) {
  EXPECT_TRUE(verdict.may_show || !any);
  EXPECT_TRUE(verdict.may_hide || all);
  EXPECT_TRUE(!verdict.shows || any);
  EXPECT_TRUE(!verdict.hides || !all);
}

TEST(MaskVerdictProperty, EveryVerdictHolds) {
  std::mt19937_64 random(31);
  for (int round = 0; round < 20000 && !testing::Test::HasFailure(); ++round) {
    const std::vector<int64_t> a = DrawValues(random);
    const std::vector<int64_t> b = DrawValues(random);
    bool any = false;
    bool all = true;
    for (const int64_t of_a : a) {
      for (const int64_t of_b : b) {
        const bool equal = of_a == of_b && of_a != kMissing;
        any = any || equal;
        all = all && equal;
      }
    }
    ExpectHolds(Equal(RangeOf(a), RangeOf(b)), any, all);

    ValueRange merged = RangeOf(a);
    merged.Merge(RangeOf(b));
    const int64_t from = static_cast<int64_t>(random() % 9) - 4;
    const int64_t to = from + static_cast<int64_t>(random() % 4) - 1;
    any = false;
    all = true;
    for (const std::vector<int64_t>& values : {a, b}) {
      for (const int64_t value : values) {
        if (value == kMissing) continue;
        any = any || (from <= value && value <= to);
        all = all && from <= value && value <= to;
      }
    }
    if (!merged.none()) ExpectHolds(Between(merged, from, to), any, all);
  }
}

TEST(MaskVerdict, AndAndNotOfWhatIsKnown) {
  constexpr MaskVerdict kAll = MaskVerdict::All();
  constexpr MaskVerdict kMixed = {.shows = true, .hides = true};
  EXPECT_TRUE(kAll.And(kAll).all());
  EXPECT_TRUE(kAll.And(MaskVerdict::None()).none());
  EXPECT_TRUE(kAll.And(kMixed).shows);
  EXPECT_FALSE(kMixed.And(kMixed).shows);  // Each may hide what the other shows.
  EXPECT_TRUE(kMixed.And({}).hides);
  EXPECT_TRUE(kAll.Not().none());
  EXPECT_TRUE(MaskVerdict::None().Not().all());
}

TEST(ValueRange, TheLargestIdsDoNotOverflow) {
  ValueRange range;
  range.Add(std::numeric_limits<int64_t>::max());
  range.Add(std::numeric_limits<int64_t>::min());
  EXPECT_FALSE(range.gapless);
  ValueRange other;
  other.Add(0);
  range.Merge(other);
  EXPECT_FALSE(range.gapless);
}

}  // namespace
}  // namespace attn
