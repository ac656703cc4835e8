#include "kernels/core/mask_intervals.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/kernels/core/found_intervals.h"
#include "tests/support/mask_oracle.h"
#include "tests/support/random_masks.h"

namespace attn {
namespace {

using Values = std::vector<int64_t>;

// Fails unless `found` says what the oracle says of every element.
void ExpectAgrees(const IntervalMask& found, const DrawnMask& mask, const MaskCase& also) {
  const MaskSizes& sizes = mask.sizes;
  for (int64_t b = 0; b < sizes.batch; ++b) {
    for (int64_t i = 0; i < sizes.query_len; ++i) {
      const KeyInterval seen = found.VisibleKeys(b, i);
      ASSERT_LE(0, seen.begin);
      ASSERT_LE(seen.begin, seen.end);
      ASSERT_LE(seen.end, sizes.key_len);
      for (int64_t j = 0; j < sizes.key_len; ++j) {
        const bool expected = mask.Sees(b, 0, i, j) && Sees(also, b, i, j);
        ASSERT_EQ(seen.begin <= j && j < seen.end, expected)
            << "sample " << b << " query " << i << " key " << j << "\n"
            << mask.Describe() << also.Describe();
      }
    }
  }
}

TEST(MaskIntervalsProperty, WhatIsFoundIsWhatEveryElementSays) {
  std::mt19937_64 random(6021);
  int found = 0;
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    MaskCase also = RandomMaskCase(random);
    if (seed % 2 == 0) also.spec = {};
    const MaskSizes sizes = {also.batch, 2, also.query_len, also.key_len};
    const DrawnMask mask = DrawMask(seed, sizes);
    const auto intervals = FindIntervals(BindMask(mask), also.Create());
    if (!intervals.has_value()) continue;
    ++found;
    ASSERT_NO_FATAL_FAILURE(ExpectAgrees(*intervals, mask, also));
  }
  EXPECT_GT(found, 300);
}

MaskNode AndNode(std::vector<MaskNode> args) { return {mask_op::All{std::move(args)}}; }
MaskNode OrNode(std::vector<MaskNode> args) { return {mask_op::Any{std::move(args)}}; }
MaskNode NotNode(MaskNode arg) { return {mask_op::Not{{std::move(arg)}}}; }
MaskNode RemapNode(MaskNode arg) { return {mask_op::Remap{"positions", {std::move(arg)}}}; }
MaskNode CausalNode() { return {mask_op::Causal{}}; }
MaskNode WindowNode(int64_t window) { return {mask_op::SlidingWindow{window, ""}}; }
MaskNode PackedNode() { return {mask_op::Packed{"ids"}}; }
MaskNode PaddingNode() { return {mask_op::Padding{"flags", ""}}; }

struct FoundCase {
  std::string name;
  MaskNode root;
  int64_t q_offset = 0;
  int64_t kv_offset = 0;
  // [2, L] each.
  Values ids;
  Values positions;
  Values flags;
  MaskSizes sizes = {2, 3, 8, 8};
};

DrawnMask MaskOf(const FoundCase& found_case) {
  DrawnMask mask;
  mask.spec = {found_case.root, found_case.q_offset, found_case.kv_offset};
  mask.sizes = found_case.sizes;
  const auto add = [&](const char* name, DType dtype, const Values& values) {
    if (values.empty()) return;
    mask.tensors.Add(name, dtype, {2, static_cast<int64_t>(values.size()) / 2}, values);
  };
  add("ids", DType::kInt32, found_case.ids);
  add("positions", DType::kInt64, found_case.positions);
  add("flags", DType::kUint8, found_case.flags);
  return mask;
}

const Values kSortedIds = {0, 0, 0, 1, 1, 2, 2, 2, 5, 5, 6, 6, 6, 6, 6, 7};
const Values kUnsortedIds = {9, 9, 3, 3, 3, 7, 7, 7, 2, 2, 2, 2, -1, -1, -1, -1};
const Values kRestarting = {0, 1, 2, 0, 1, 0, 1, 2, 0, 1, 0, 1, 2, 3, 4, 0};
const Values kLeftPadded = {0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
const Values kRightPadded = {1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
const Values kBothPadded = {0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1};

std::vector<FoundCase> FoundCases() {
  return {
      {"causal", CausalNode()},
      {"bidirectional", {mask_op::Bidirectional{}}},
      {"bidirectional before the first position", {mask_op::Bidirectional{}}, -3},
      {"causal behind a cache", CausalNode(), 5, 0, {}, {}, {}, {2, 3, 4, 9}},
      {"window behind a sliding cache",
       AndNode({WindowNode(4), CausalNode()}),
       9,
       6,
       {},
       {},
       {},
       {2, 3, 3, 6}},
      {"two sided window", {mask_op::BidirectionalWindow{2, ""}}},
      {"chunked", {mask_op::Chunked{3, ""}}},
      {"chunked and causal before zero", AndNode({{mask_op::Chunked{3, ""}}, CausalNode()}), -5,
       -5},
      {"packed", AndNode({CausalNode(), PackedNode()}), 0, 0, kSortedIds},
      {"packed, unsorted runs", AndNode({CausalNode(), PackedNode()}), 0, 0, kUnsortedIds},
      {"packed ids shorter than where a remap goes",
       AndNode({RemapNode(PackedNode()), CausalNode()}),
       0,
       0,
       {1, 1, 2, 3, 3, 3},
       {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7}},
      {"packed window", AndNode({AndNode({WindowNode(2), CausalNode()}), PackedNode()}), 0, 0,
       kSortedIds},
      {"remapped inside its sequence", AndNode({RemapNode(CausalNode()), PackedNode()}), 0, 0,
       kSortedIds, kRestarting},
      {"remapped chunks inside their sequence",
       AndNode({RemapNode(AndNode({{mask_op::Chunked{2, ""}}, CausalNode()})), PackedNode()}), 0, 0,
       kSortedIds, kRestarting},
      {"remapped by an offset",
       AndNode({{mask_op::Offset{1, 1, {RemapNode(CausalNode())}}},
                {mask_op::Offset{1, 1, {PackedNode()}}}}),
       -1, -1, kSortedIds, kRestarting},
      {"left padding", AndNode({CausalNode(), PaddingNode()}), 0, 0, {}, {}, kLeftPadded},
      {"right padding", AndNode({CausalNode(), PaddingNode()}), 0, 0, {}, {}, kRightPadded},
      {"padding on both sides", PaddingNode(), 0, 0, {}, {}, kBothPadded},
      {"static cache longer than its padding",
       AndNode({CausalNode(), PaddingNode()}),
       3,
       0,
       {},
       {},
       kLeftPadded,
       {2, 3, 5, 13}},
      {"prefix or causal", OrNode({{mask_op::Prefix{3, ""}}, CausalNode()})},
      {"causal or block, and padding",
       AndNode({OrNode({CausalNode(), {mask_op::Blockwise{"ids"}}}), PaddingNode()}),
       0,
       0,
       kUnsortedIds,
       {},
       kLeftPadded},
      {"union of three that touch",
       OrNode({{mask_op::Prefix{2, ""}},
               AndNode({NotNode({mask_op::Prefix{5, ""}}), {mask_op::Prefix{9, ""}}}),
               AndNode({NotNode({mask_op::Prefix{2, ""}}), {mask_op::Prefix{5, ""}}})})},
      {"not beyond the prefix", NotNode(NotNode({mask_op::Prefix{3, ""}}))},
      {"not causal", NotNode(CausalNode())},
      {"nothing", AndNode({CausalNode(), NotNode(CausalNode())})},
  };
}

TEST(MaskIntervals, MasksOfModelsAreFound) {
  for (const FoundCase& found_case : FoundCases()) {
    SCOPED_TRACE(found_case.name);
    const DrawnMask mask = MaskOf(found_case);
    const auto found = FindIntervals(BindMask(mask), Everything(mask.sizes));
    EXPECT_TRUE(found.has_value());
    if (!found.has_value()) continue;
    const MaskCase all = {{}, mask.sizes.batch, mask.sizes.query_len, mask.sizes.key_len};
    ASSERT_NO_FATAL_FAILURE(ExpectAgrees(*found, mask, all));
  }
}

TEST(MaskIntervals, SamplesShareRowsWhereNothingTellsThemApart) {
  const MaskSizes sizes = {3, 2, 6, 6};
  DrawnMask mask;
  mask.spec.root = CausalNode();
  mask.sizes = sizes;
  EXPECT_FALSE(FindIntervals(BindMask(mask), Everything(sizes))->per_sample());
  const auto lengths = IntervalMask::Create({.k_lengths = {1, 2, 3}}, 3, 6, 6);
  const auto found = FindIntervals(BindMask(mask), *lengths);
  EXPECT_TRUE(found->per_sample());
  EXPECT_EQ(found->VisibleKeys(2, 5), (KeyInterval{0, 3}));
  EXPECT_EQ(found->VisibleKeys(2, 1), (KeyInterval{0, 2}));
}

TEST(MaskIntervals, ADenseMaskOfKeysAloneIsFound) {
  const MaskSizes sizes = {2, 2, 4, 6};
  DrawnMask mask;
  mask.spec = {AndNode({{mask_op::Dense{"keys"}}, CausalNode()}), 7, 5};
  mask.sizes = sizes;
  mask.tensors.Add("keys", DType::kBits, {2, 1, 1, 6}, {0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0});
  const auto found = FindIntervals(BindMask(mask), Everything(sizes));
  ASSERT_TRUE(found.has_value());
  ExpectAgrees(*found, mask, {{}, sizes.batch, sizes.query_len, sizes.key_len});
}

TEST(MaskIntervals, GapsAndHeadsAreNotFound) {
  const FoundCase hole = {
      "hole", PaddingNode(), 0, 0, {}, {}, {1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}};
  const FoundCase gap = {
      "gap", OrNode({{mask_op::Prefix{1, ""}}, AndNode({WindowNode(2), CausalNode()})})};
  const FoundCase ends = {"ends", NotNode({mask_op::BidirectionalWindow{1, ""}})};
  const FoundCase restarts = {"restarts", RemapNode(CausalNode()), 0, 0, {}, kRestarting};
  const FoundCase twice = {
      "id that comes twice", PackedNode(), 0, 0, {1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2}};
  for (const FoundCase& found_case : {hole, gap, ends, restarts, twice}) {
    SCOPED_TRACE(found_case.name);
    const DrawnMask mask = MaskOf(found_case);
    EXPECT_FALSE(FindIntervals(BindMask(mask), Everything(mask.sizes)).has_value());
  }
  DrawnMask heads;
  heads.spec.root = {mask_op::SlidingWindow{0, "windows"}};
  heads.sizes = {1, 2, 4, 4};
  heads.tensors.Add("windows", DType::kInt32, {2}, {1, 2});
  EXPECT_FALSE(FindIntervals(BindMask(heads), Everything(heads.sizes)).has_value());
}

// Each AND tries the part that never is one interval again after the other, and they nest: without
// a bound that doubles with every level.
TEST(MaskIntervals, NestedRetriesEnd) {
  const MaskSizes sizes = {1, 1, 20000, 20000};
  DrawnMask mask;
  mask.sizes = sizes;
  mask.spec.root = NotNode({mask_op::BidirectionalWindow{1, ""}});
  for (int level = 0; level < 6; ++level) {
    mask.spec.root =
        NotNode(AndNode({std::move(mask.spec.root), CausalNode(), CausalNode(), CausalNode()}));
  }
  EXPECT_FALSE(FindIntervals(BindMask(mask), Everything(sizes)).has_value());
}

}  // namespace
}  // namespace attn
