#include "server/executor/payload_gather.h"

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace attn {
namespace {

struct GatherCase {
  std::string name;
  std::vector<std::vector<size_t>> part_sizes;  // Of each copy.
  int64_t tiles;
};

std::vector<size_t> ManyParts() {
  std::mt19937 random(7);
  std::vector<size_t> sizes(4000);
  for (size_t& size : sizes) size = random() % 2000;
  return sizes;
}

class PayloadGatherTest : public testing::TestWithParam<GatherCase> {};

TEST_P(PayloadGatherTest, TilesInAnyOrderCopyEveryByte) {
  std::mt19937 random(11);
  std::vector<PayloadCopy> copies;
  std::vector<std::vector<std::byte>> expected;
  std::vector<std::vector<std::byte>> memory;  // Behind the parts.
  std::vector<std::vector<std::byte>> target;
  for (const auto& sizes : GetParam().part_sizes) {
    PayloadCopy& copy = copies.emplace_back();
    std::vector<std::byte>& whole = expected.emplace_back();
    for (size_t size : sizes) {
      std::vector<std::byte>& part = memory.emplace_back(size);
      for (std::byte& byte : part) byte = static_cast<std::byte>(random());
      whole.insert(whole.end(), part.begin(), part.end());
      copy.parts.emplace_back(part.data(), part.size());
    }
    copy.to = target.emplace_back(whole.size()).data();
  }

  const PayloadGather gather(copies);
  EXPECT_EQ(gather.tiles(), GetParam().tiles);
  for (int64_t tile = gather.tiles() - 1; tile >= 0; --tile) gather.RunTile(tile);

  EXPECT_EQ(target, expected);
}

constexpr size_t kTile = kCopyTileBytes;

INSTANTIATE_TEST_SUITE_P(
    Shapes, PayloadGatherTest,
    testing::Values(GatherCase{"nothing", {}, 0}, GatherCase{"no_parts", {{}, {}}, 0},
                    GatherCase{"empty_parts", {{0, 0}, {0}}, 0}, GatherCase{"one_byte", {{1}}, 1},
                    GatherCase{"small_tensors_share_a_tile", {{100}, {50, 50}, {7}}, 1},
                    GatherCase{"empty_between", {{0, 5, 0}, {}, {0}, {5, 0}}, 1},
                    GatherCase{"exactly_a_tile", {{kTile}}, 1},
                    GatherCase{"a_byte_more", {{kTile + 1}}, 2},
                    GatherCase{"boundary_between_copies", {{kTile}, {kTile}, {3}}, 3},
                    GatherCase{"boundary_inside_a_part", {{kTile - 1, 2}, {kTile}}, 3},
                    GatherCase{"large_part", {{5 * kTile + 17}, {1}}, 6},
                    GatherCase{"many_parts", {ManyParts(), ManyParts()}, 8}),
    [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace attn
