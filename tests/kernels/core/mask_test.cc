#include "kernels/core/mask.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/core/limits.h"
#include "tests/support/mask_oracle.h"

namespace attn {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

KeyInterval SeenBy(const MaskCase& mask_case, int64_t b, int64_t i) {
  KeyInterval seen;
  for (int64_t j = 0; j < mask_case.key_len; ++j) {
    if (!Sees(mask_case, b, i, j)) continue;
    if (seen.empty()) seen.begin = j;
    seen.end = j + 1;
  }
  return seen;
}

// Bounds from the rows' own intervals.
IntervalMask::Bounds SeenByRange(const std::vector<KeyInterval>& rows, int64_t key_len) {
  KeyInterval any;
  KeyInterval all = {0, key_len};
  for (const KeyInterval& row : rows) {
    if (!row.empty()) {
      any = any.empty() ? row
                        : KeyInterval{std::min(any.begin, row.begin), std::max(any.end, row.end)};
    }
    all = {std::max(all.begin, row.begin), std::min(all.end, row.end)};
  }
  if (rows.empty() || all.empty()) all = {};
  return {any, all};
}

TEST(MaskProperty, EveryAnswerAgreesWithThePerElementDefinition) {
  std::mt19937_64 random(20240801);
  for (int round = 0; round < 3000; ++round) {
    const MaskCase drawn = RandomMaskCase(random);
    SCOPED_TRACE(drawn.Describe());
    const IntervalMask mask = drawn.Create();
    int64_t visible = 0;
    for (int64_t b = 0; b < drawn.batch; ++b) {
      std::vector<KeyInterval> rows;
      for (int64_t i = 0; i < drawn.query_len; ++i) {
        rows.push_back(SeenBy(drawn, b, i));
        ASSERT_EQ(mask.VisibleKeys(b, i), rows.back()) << "sample " << b << " query " << i;
        visible += rows.back().size();
      }
      for (int64_t begin = 0; begin <= drawn.query_len; ++begin) {
        for (int64_t end = begin; end <= drawn.query_len; ++end) {
          const IntervalMask::Bounds expected =
              SeenByRange({rows.begin() + begin, rows.begin() + end}, drawn.key_len);
          const IntervalMask::Bounds bounds = mask.VisibleKeys(b, begin, end);
          ASSERT_EQ(bounds.any, expected.any) << b << " queries " << begin << " to " << end;
          ASSERT_EQ(bounds.all, expected.all) << b << " queries " << begin << " to " << end;
        }
      }
    }
    ASSERT_EQ(mask.VisibleElements(), visible);
    int64_t of_samples = 0;
    for (int64_t b = 0; b < mask.batch(); ++b) of_samples += mask.VisibleElements(b);
    ASSERT_EQ(of_samples, visible);
  }
}

TEST(MaskProperty, VisibleKeysFormOneInterval) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 500; ++round) {
    const MaskCase drawn = RandomMaskCase(random);
    for (int64_t i = 0; i < drawn.query_len; ++i) {
      int64_t seen = 0;
      for (int64_t j = 0; j < drawn.key_len; ++j) seen += Sees(drawn, 0, i, j) ? 1 : 0;
      ASSERT_EQ(seen, drawn.Create().VisibleKeys(0, i).size()) << drawn.Describe();
    }
  }
}

MaskCase Over(int64_t batch, int64_t query_len, int64_t key_len, const MaskSpec& spec) {
  return {spec, batch, query_len, key_len};
}

struct RowCase {
  std::string name;
  MaskCase mask;
  std::vector<KeyInterval> rows;  // Of sample 0.
};

constexpr auto kTopLeft = CausalAlignment::kTopLeft;

const RowCase kRowCases[] = {
    {"plain", Over(1, 2, 3, {}), {{0, 3}, {0, 3}}},
    {"causal is bottom right unless said otherwise",
     Over(1, 2, 4, {.causal = true}),
     {{0, 3}, {0, 4}}},
    {"top left", Over(1, 2, 4, {.causal = true, .alignment = kTopLeft}), {{0, 1}, {0, 2}}},
    {"more queries than keys leaves the first rows empty",
     Over(1, 4, 2, {.causal = true}),
     {{}, {}, {0, 1}, {0, 2}}},
    {"window is inclusive on both sides",
     Over(1, 4, 4, {.window = Window{1, 1}}),
     {{0, 2}, {0, 3}, {1, 4}, {2, 4}}},
    {"window 0,0 is the diagonal", Over(1, 2, 2, {.window = Window{0, 0}}), {{0, 1}, {1, 2}}},
    {"window counts from the aligned diagonal",
     Over(1, 2, 4, {.window = Window{0, -1}}),
     {{2, 4}, {3, 4}}},
    {"top left window past the keys leaves the last rows empty",
     Over(1, 3, 2, {.alignment = kTopLeft, .window = Window{0, 0}}),
     {{0, 1}, {1, 2}, {}}},
    {"causal cuts the right side of a window",
     Over(1, 3, 3, {.causal = true, .window = Window{1, 5}}),
     {{0, 1}, {0, 2}, {1, 3}}},
    {"lengths align the diagonal of their sample",
     Over(1, 3, 5, {.causal = true, .q_lengths = {2}, .k_lengths = {3}}),
     {{0, 2}, {0, 3}, {}}},
    {"lengths with top left start at key 0",
     Over(1, 3, 5, {.causal = true, .alignment = kTopLeft, .q_lengths = {2}, .k_lengths = {3}}),
     {{0, 1}, {0, 2}, {}}},
    {"packed sequences see their own keys, aligned apart",
     Over(1, 3, 4, {.causal = true, .cu_seqlens_q = {0, 1, 3}, .cu_seqlens_k = {0, 2, 4}}),
     {{0, 2}, {2, 3}, {2, 4}}},
    {"a packed sequence without keys sees nothing",
     Over(1, 2, 3, {.cu_seqlens_q = {0, 1, 2}, .cu_seqlens_k = {0, 0, 3}}),
     {{}, {0, 3}}},
    {"a packed sequence without queries keeps its keys to itself",
     Over(1, 2, 4, {.cu_seqlens_q = {0, 1, 1, 2}, .cu_seqlens_k = {0, 1, 3, 4}}),
     {{0, 1}, {3, 4}}},
};

TEST(Mask, NamedCasesShowTheRowsOfTheContract) {
  for (const RowCase& row_case : kRowCases) {
    SCOPED_TRACE(row_case.name);
    const IntervalMask mask = row_case.mask.Create();
    for (size_t i = 0; i < row_case.rows.size(); ++i) {
      EXPECT_EQ(mask.VisibleKeys(0, static_cast<int64_t>(i)), row_case.rows[i]) << "query " << i;
    }
  }
}

TEST(Mask, TheLargestSizesAndWindowsDoNotOverflow) {
  const MaskSpec spec = {.window = Window{kHuge, kHuge}};
  const auto mask = IntervalMask::Create(spec, 1, kMaxDimension, kMaxDimension);
  ASSERT_TRUE(mask.ok());
  EXPECT_EQ(mask->VisibleElements(), kMaxDimension * kMaxDimension);
  EXPECT_EQ(mask->VisibleKeys(0, 0), (KeyInterval{0, kMaxDimension}));

  const auto causal = IntervalMask::Create({.causal = true}, 1, kMaxDimension, kMaxDimension);
  ASSERT_TRUE(causal.ok());
  EXPECT_EQ(causal->VisibleElements(), kMaxDimension * (kMaxDimension + 1) / 2);
  EXPECT_EQ(causal->VisibleKeys(0, kMaxDimension - 1).end, kMaxDimension);

  const auto full = IntervalMask::Create({}, kMaxDimension, kMaxDimension, kMaxDimension);
  ASSERT_TRUE(full.ok());
  EXPECT_EQ(full->VisibleElements(), kHuge);  // Saturated, not wrapped.
}

TEST(Mask, ACopySharesTheArrays) {
  const auto mask = IntervalMask::Create({.k_lengths = {3, 4}}, 2, 4, 4);
  ASSERT_TRUE(mask.ok());
  const IntervalMask copy = *mask;
  EXPECT_EQ(copy.spec().k_lengths.data(), mask->spec().k_lengths.data());
}

TEST(Mask, ADefaultMaskCoversNothing) {
  const IntervalMask mask;
  EXPECT_EQ(mask.VisibleElements(), 0);
}

struct MaskRefusalCase {
  std::string name;
  MaskCase mask;
  std::string text;
};

const MaskRefusalCase kRefusalCases[] = {
    {"zero batch", Over(0, 1, 1, {}), "mask: batch is 0, allowed: 1 to 2147483647"},
    {"zero queries", Over(1, 0, 1, {}), "query length is 0"},
    {"too many keys", Over(1, 1, kMaxDimension + 1, {}), "key length is 2147483648"},
    {"negative", Over(1, -1, 1, {}), "query length is -1"},
    {"alignment alone", Over(1, 4, 4, {.alignment = CausalAlignment::kTopLeft}),
     "mask.alignment is given, but neither mask.causal nor mask.window is"},
    {"window left", Over(1, 4, 4, {.window = Window{-2, 0}}),
     "mask.window.left is -2, allowed: -1"},
    {"window right", Over(1, 4, 4, {.window = Window{0, -9}}), "mask.window.right is -9"},
    {"q_lengths count", Over(2, 4, 4, {.q_lengths = {1}}),
     "mask.q_lengths has 1 values, allowed: one a sample, 2"},
    {"k_lengths count", Over(2, 4, 4, {.k_lengths = {1, 2, 3}}), "mask.k_lengths has 3 values"},
    {"q_lengths long", Over(2, 4, 9, {.q_lengths = {4, 5}}),
     "mask.q_lengths[1] is 5, allowed: 0 to 4"},
    {"k_lengths negative", Over(2, 4, 9, {.k_lengths = {-1, 5}}), "mask.k_lengths[0] is -1"},
    {"only cu_seqlens_q", Over(1, 4, 4, {.cu_seqlens_q = {0, 4}}),
     "mask.cu_seqlens_q has 2 values and mask.cu_seqlens_k 0, allowed: both"},
    {"only cu_seqlens_k", Over(1, 4, 4, {.cu_seqlens_k = {0, 4}}),
     "mask.cu_seqlens_q has 0 values"},
    {"cu_seqlens sizes", Over(1, 4, 4, {.cu_seqlens_q = {0, 4}, .cu_seqlens_k = {0, 2, 4}}),
     "of equal size"},
    {"cu_seqlens and lengths",
     Over(1, 4, 4, {.k_lengths = {4}, .cu_seqlens_q = {0, 4}, .cu_seqlens_k = {0, 4}}),
     "exclude mask.q_lengths and mask.k_lengths"},
    {"cu_seqlens start", Over(1, 4, 4, {.cu_seqlens_q = {1, 4}, .cu_seqlens_k = {0, 4}}),
     "mask.cu_seqlens_q starts at 1, allowed: 0"},
    {"cu_seqlens falls", Over(1, 4, 4, {.cu_seqlens_q = {0, 2, 4}, .cu_seqlens_k = {0, 5, 4}}),
     "mask.cu_seqlens_k[2] is 4, less than the one before, 5"},
    {"cu_seqlens end", Over(1, 4, 4, {.cu_seqlens_q = {0, 3}, .cu_seqlens_k = {0, 4}}),
     "mask.cu_seqlens_q ends at 3, allowed: the number of tokens, 4"},
    {"a single offset", Over(1, 4, 4, {.cu_seqlens_q = {0}, .cu_seqlens_k = {0}}),
     "mask.cu_seqlens_q ends at 0"},
    {"cu_seqlens batch", Over(2, 4, 4, {.cu_seqlens_q = {0, 4}, .cu_seqlens_k = {0, 4}}),
     "packed sequences (cu_seqlens) with batch 2, allowed: 1"},
};

TEST(Mask, WhatDoesNotFitIsRefusedByName) {
  for (const MaskRefusalCase& refusal : kRefusalCases) {
    SCOPED_TRACE(refusal.name);
    const MaskCase& mask = refusal.mask;
    const auto created = IntervalMask::Create(mask.spec, mask.batch, mask.query_len, mask.key_len);
    EXPECT_EQ(created.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(created.status().message()), HasSubstr(refusal.text));
  }
}

}  // namespace
}  // namespace attn
