// Intervals of more tokens or samples than a tile holds.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "tests/kernels/core/found_intervals.h"
#include "tests/support/random_masks.h"

namespace attn {
namespace {

MaskNode AllOf(std::vector<MaskNode> args) { return {mask_op::All{std::move(args)}}; }

// Fails unless `found` says what the program, evaluated, says of elements of sample 0: of some
// queries, all keys.
void ExpectIsProgram(const IntervalMask& found, const MaskProgram& program) {
  const int64_t keys = program.sizes().key_len;
  std::vector<uint64_t> words(static_cast<size_t>((keys + 63) / 64));
  for (int64_t i = 0; i < program.sizes().query_len; i += 61) {
    program.Evaluate(0, 0, {i, i + 1}, {0, keys}, words.data(), (keys + 63) / 64);
    const KeyInterval seen = found.VisibleKeys(0, i);
    for (int64_t j = 0; j < keys; ++j) {
      const bool sees = (words[static_cast<size_t>(j / 64)] >> (j % 64) & 1) != 0;
      ASSERT_EQ(seen.begin <= j && j < seen.end, sees) << "query " << i << " key " << j;
    }
  }
}

// Documents of random lengths, ids descending if `descends`, and positions that start anew in each.
DrawnMask PackedDocuments(MaskNode root, const MaskSizes& sizes, int64_t longest, bool descends) {
  DrawnMask mask;
  mask.spec.root = std::move(root);
  mask.sizes = sizes;
  std::mt19937_64 random(11);
  std::vector<int64_t> ids;
  std::vector<int64_t> positions;
  for (int64_t id = 0; static_cast<int64_t>(ids.size()) < sizes.key_len; ++id) {
    const auto length = 1 + static_cast<int64_t>(random() % static_cast<uint64_t>(longest));
    for (int64_t i = 0; i < length && static_cast<int64_t>(ids.size()) < sizes.key_len; ++i) {
      ids.push_back(descends ? -id : id);
      positions.push_back(i);
    }
  }
  mask.tensors.Add("ids", DType::kInt32, {1, sizes.key_len}, ids);
  mask.tensors.Add("positions", DType::kInt64, {1, sizes.key_len}, positions);
  return mask;
}

// Runs and rows cross the edges of tiles.
TEST(IntervalSearch, LongMasksAreFound) {
  const MaskSizes sizes = {1, 1, 20000, 20000};
  for (const bool descends : {false, true}) {
    for (const int64_t longest : {int64_t{40}, int64_t{3000}, int64_t{30000}}) {
      SCOPED_TRACE(testing::Message() << longest << (descends ? " descending" : ""));
      const DrawnMask mask =
          PackedDocuments(AllOf({{mask_op::Remap{"positions", {{mask_op::Causal{}}}}},
                                 {mask_op::Packed{"ids"}},
                                 {mask_op::SlidingWindow{5000, ""}}}),
                          sizes, longest, descends);
      const MaskProgram program = BindMask(mask);
      const auto found = FindIntervals(program, Everything(sizes));
      ASSERT_TRUE(found.has_value());
      ASSERT_NO_FATAL_FAILURE(ExpectIsProgram(*found, program));
    }
  }
}

TEST(IntervalSearch, ManyIdsAreFoundWhereTheyAscend) {
  const MaskSizes sizes = {1, 1, 20000, 20000};
  EXPECT_TRUE(FindIntervals(BindMask(PackedDocuments({mask_op::Packed{"ids"}}, sizes, 1, false)),
                            Everything(sizes))
                  .has_value());
  EXPECT_FALSE(FindIntervals(BindMask(PackedDocuments({mask_op::Packed{"ids"}}, sizes, 1, true)),
                             Everything(sizes))
                   .has_value());
}

TEST(IntervalSearch, ManyShortSamplesAreFound) {
  const MaskSizes sizes = {300, 1, 100, 100};
  DrawnMask mask;
  mask.sizes = sizes;
  mask.spec.root = AllOf({{mask_op::Packed{"ids"}}, {mask_op::Padding{"flags", ""}}});
  std::vector<int64_t> ids;
  std::vector<int64_t> flags;
  for (int64_t b = 0; b < sizes.batch; ++b) {
    for (int64_t i = 0; i < sizes.key_len; ++i) {
      ids.push_back(i / (1 + b % 60));
      flags.push_back(i >= b % 70 ? 1 : 0);
    }
  }
  mask.tensors.Add("ids", DType::kInt32, {sizes.batch, sizes.key_len}, ids);
  mask.tensors.Add("flags", DType::kUint8, {sizes.batch, sizes.key_len}, flags);
  const auto found = FindIntervals(BindMask(mask), Everything(sizes));
  ASSERT_TRUE(found.has_value());
  for (const int64_t b : {0, 1, 48, 49, 50, 51, 99, 100, 299}) {
    for (const int64_t i : {0, 37, 99}) {
      const int64_t length = 1 + b % 60;
      const int64_t begin = std::max(i / length * length, b % 70);
      const int64_t end = std::min<int64_t>((i / length + 1) * length, 100);
      const KeyInterval expected = begin < end ? KeyInterval{begin, end} : KeyInterval{};
      EXPECT_EQ(found->VisibleKeys(b, i), expected) << "sample " << b << " query " << i;
    }
  }
}

}  // namespace
}  // namespace attn
