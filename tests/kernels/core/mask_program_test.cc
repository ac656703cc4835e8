#include "kernels/core/mask_program.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/kernels/core/evaluated_mask.h"
#include "tests/support/random_masks.h"

namespace attn {
namespace {

// Where program and oracle differ first; "" if nowhere.
std::string DifferenceInTile(const DrawnMask& mask, const MaskProgram& program,
                             const TokenRange& queries, const TokenRange& keys) {
  for (int64_t b = 0; b < mask.sizes.batch; ++b) {
    for (int64_t head = 0; head < mask.sizes.heads; ++head) {
      const TileWords tile = Evaluated(program, b, head, queries, keys);
      for (int64_t i = 0; i < queries.size(); ++i) {
        for (int64_t j = 0; j < keys.size(); ++j) {
          const int64_t query = queries.original(queries.begin + i);
          const int64_t key = keys.original(keys.begin + j);
          const bool expected = mask.Sees(b, head, query, key);
          if (tile.at(i, j) == expected) continue;
          return absl::StrCat("b ", b, " head ", head, " query ", query, " key ", key, " is ",
                              !expected, ": ", mask.Describe());
        }
      }
    }
  }
  return "";
}

std::string Difference(const DrawnMask& mask) {
  return DifferenceInTile(mask, Bound(mask), {0, mask.sizes.query_len}, {0, mask.sizes.key_len});
}

std::vector<int32_t> Permutation(std::mt19937_64& random, int64_t count) {
  std::vector<int32_t> permutation(static_cast<size_t>(count));
  std::iota(permutation.begin(), permutation.end(), 0);
  // Some of it stays in runs, as tiles of a grid do.
  std::shuffle(permutation.begin(), permutation.begin() + count / 2, random);
  std::rotate(permutation.begin(), permutation.begin() + count / 3, permutation.end());
  return permutation;
}

TEST(MaskProgram, DrawnExpressionsAreWhatTheOracleSays) {
  for (uint64_t seed = 0; seed < 1200; ++seed) EXPECT_EQ(Difference(DrawMask(seed)), "");
}

TEST(MaskProgram, AnyTileOfAnyOrderIsPartOfTheWhole) {
  std::mt19937_64 random(1);
  const auto between = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  for (uint64_t seed = 1000; seed < 1200; ++seed) {
    const DrawnMask mask = DrawMask(seed);
    const std::vector<int32_t> query_order = Permutation(random, mask.sizes.query_len);
    const std::vector<int32_t> key_order = Permutation(random, mask.sizes.key_len);
    const auto part = [&](const std::vector<int32_t>& order) {
      const auto count = static_cast<int64_t>(order.size());
      const int64_t begin = between(0, count - 1);
      return TokenRange{begin, between(begin + 1, count), order.data()};
    };
    EXPECT_EQ(DifferenceInTile(mask, Bound(mask), part(query_order), part(key_order)), "");
  }
}

TEST(MaskProgram, EvaluatesMoreThanOneChunkEachWay) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    EXPECT_EQ(Difference(DrawMask(seed, {1, 1, 150, 530})), "");
  }
}

// What each node means, in small: rows are queries, `x` is visible.
struct TruthTable {
  const char* name;
  MaskNode root;
  std::vector<std::string> rows;
  int64_t q_offset = 0;
  int64_t kv_offset = 0;
};

void AddSmallTensors(MaskTensors& tensors) {
  tensors.Add("ids", DType::kInt32, {1, 4}, {-1, 0, 0, -1});
  tensors.Add("all_ids", DType::kInt32, {1, 5}, {-1, 0, 0, -1, 7});
  tensors.Add("flags", DType::kBits, {1, 3}, {0, 1, 1});
  tensors.Add("two", DType::kInt64, {1}, {2});
  tensors.Add("minus_one", DType::kInt32, {1}, {-1});
  tensors.Add("dense", DType::kUint8, {1, 1, 3, 5}, {1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0});
  tensors.Add("column", DType::kBits, {1, 1, 3, 1}, {0, 1, 0});
  tensors.Add("counts", DType::kInt32, {1, 1, 2}, {1, 2});
  tensors.Add("lists", DType::kInt32, {1, 1, 2, 2}, {2, -1, 1, 0});
  tensors.Add("full_counts", DType::kInt64, {1, 1, 2}, {1, 0});
  tensors.Add("full_lists", DType::kInt64, {1, 1, 2, 1}, {1, -1});
  tensors.Add("past", DType::kInt32, {1, 5}, {0, 1, 2, 4, 9});
  tensors.Add("back", DType::kInt32, {1, 5}, {2, 1, 0, 9, 2});
}

std::vector<TruthTable> TruthTables() {
  const MaskNode causal = {mask_op::Causal{}};
  return {
      {"Causal", causal, {"x....", "xx...", "xxx.."}},
      {"CausalBehindACache", causal, {"xxx..", "xxxx.", "xxxxx"}, 4, 2},
      {"Bidirectional", {mask_op::Bidirectional{}}, {".....", "xxxxx", "xxxxx"}, -1},
      {"SlidingWindow", {mask_op::SlidingWindow{1, ""}}, {"xxxxx", ".xxxx", "..xxx"}},
      {"SlidingWindowOfNothing", {mask_op::SlidingWindow{0, ""}}, {".xxxx", "..xxx", "...xx"}},
      {"SlidingWindowOfAHead", {mask_op::SlidingWindow{0, "two"}}, {"xxxxx", "xxxxx", ".xxxx"}},
      {"BidirectionalWindow", {mask_op::BidirectionalWindow{1, ""}}, {"xx...", "xxx..", ".xxx."}},
      {"BidirectionalWindowOfAHead",
       {mask_op::BidirectionalWindow{0, "two"}},
       {"xxx..", "xxxx.", "xxxxx"}},
      {"Chunked", {mask_op::Chunked{2, ""}}, {"xx...", "xx...", "..xx."}},
      {"ChunkedBelowZero", {mask_op::Chunked{2, ""}}, {"x....", ".xx..", ".xx.."}, -1, -1},
      {"ChunkedFromAStart", {mask_op::Chunked{2, "minus_one"}}, {"x....", ".xx..", ".xx.."}},
      {"Blockwise", {mask_op::Blockwise{"ids"}}, {".....", ".xx..", ".xx.."}},
      {"Packed", {mask_op::Packed{"all_ids"}}, {"x..x.", ".xx..", ".xx.."}},
      {"PackedBeforeTheTable", {mask_op::Packed{"all_ids"}}, {".....", ".x..x", "..xx."}, -1, -1},
      {"PackedPastTheEnd",
       {mask_op::Remap{"past", {{mask_op::Packed{"ids"}}}}},
       {"x....", ".xx..", ".xx.."}},
      {"PaddingByFlags", {mask_op::Padding{"flags", ""}}, {".xx..", ".xx..", ".xx.."}},
      {"PaddingByFlagsBefore", {mask_op::Padding{"flags", ""}}, {"..xx.", "..xx.", "..xx."}, 0, -1},
      {"PaddingByLengths", {mask_op::Padding{"", "two"}}, {"xx...", "xx...", "xx..."}},
      {"Prefix", {mask_op::Prefix{3, ""}}, {".xxx.", ".xxx.", ".xxx."}, 0, -1},
      {"PrefixOfASample", {mask_op::Prefix{0, "two"}}, {"xx...", "xx...", "xx..."}},
      {"Dense", {mask_op::Dense{"dense"}}, {"x...x", ".x...", "..x.."}, 7, -3},
      {"DenseOfColumns", {mask_op::Dense{"column"}}, {".....", "xxxxx", "....."}, 5, 5},
      {"DenseMoved",
       {mask_op::Offset{1, -1, {{mask_op::Dense{"dense"}}}}},
       {"..x..", "...x.", "....."}},
      {"Blocks", {mask_op::Blocks{2, 2, "counts", "lists", "", ""}}, {"....x", "....x", "xxxx."}},
      {"BlocksMoved",
       {mask_op::Offset{1, 1, {{mask_op::Blocks{2, 2, "counts", "lists", "", ""}}}}},
       {"...x.", "xxx..", "....."}},
      {"BlocksPartial",
       {mask_op::Blocks{2, 2, "counts", "lists", "", "", {causal}}},
       {".....", ".....", "xxx.."}},
      {"BlocksFullAreAttendedWhole",
       {mask_op::Blocks{2, 2, "counts", "lists", "full_counts", "full_lists", {causal}}},
       {"..xx.", "..xx.", "xxx.."}},
      {"BlocksMovedMoveWhatTheyHold",
       {mask_op::Offset{
           1,
           1,
           {{mask_op::Blocks{2, 2, "counts", "lists", "full_counts", "full_lists", {causal}}}}}},
       {".xx..", "xx...", "....."}},
      {"And",
       {mask_op::All{{causal, {mask_op::SlidingWindow{2, ""}}}}},
       {"x....", "xx...", ".xx.."}},
      {"Or", {mask_op::Any{{causal, {mask_op::Prefix{2, ""}}}}}, {"xx...", "xx...", "xxx.."}},
      {"Not", {mask_op::Not{{causal}}}, {".xxxx", "..xxx", "...xx"}},
      {"Offset", {mask_op::Offset{0, 1, {causal}}}, {".....", "x....", "xx..."}},
      {"Remap", {mask_op::Remap{"back", {causal}}}, {"xxx.x", ".xx..", "..x.."}},
      {"NotInsideRemapBeginsWithTheTable",
       {mask_op::Remap{"back", {{mask_op::Not{{causal}}}}}},
       {".....", "....x", ".x..x"},
       -1,
       -1},
      {"RemapsInOneAnotherEndWithTheTable",
       {mask_op::Remap{"past", {{mask_op::Remap{"ids", {{mask_op::Not{{causal}}}}}}}}},
       {".xx..", ".....", "....."}},
  };
}

class Truth : public testing::TestWithParam<TruthTable> {};

TEST_P(Truth, IsWhatTheTableShows) {
  const TruthTable& table = GetParam();
  DrawnMask mask;
  mask.spec = {table.root, table.q_offset, table.kv_offset};
  mask.sizes = {1, 1, 3, 5};
  AddSmallTensors(mask.tensors);
  const TileWords tile = Evaluated(Bound(mask), 0, 0, {0, 3}, {0, 5});
  for (int64_t i = 0; i < 3; ++i) {
    std::string row;
    for (int64_t j = 0; j < 5; ++j) row += tile.at(i, j) ? 'x' : '.';
    EXPECT_EQ(row, table.rows[static_cast<size_t>(i)]) << "query " << i;
  }
  EXPECT_EQ(Difference(mask), "") << "the oracle";
}

constexpr auto kTruthName = [](const auto& test) { return std::string(test.param.name); };
INSTANTIATE_TEST_SUITE_P(Nodes, Truth, testing::ValuesIn(TruthTables()), kTruthName);

}  // namespace
}  // namespace attn
