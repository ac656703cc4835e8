#include "kernels/core/mask_expression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kernels/core/limits.h"
#include "tests/support/random_masks.h"

namespace attn {
namespace {

constexpr MaskSizes kTreeSizes = {.batch = 3, .heads = 2, .query_len = 20, .key_len = 30};

MaskNode Causal() { return {mask_op::Causal{}}; }

MaskNode Nested(int depth) {
  MaskNode node = Causal();
  for (int level = 1; level < depth; ++level) node = {mask_op::Not{{node}}};
  return node;
}

MaskNode Wide(int64_t nodes) {
  return {mask_op::All{std::vector<MaskNode>(static_cast<size_t>(nodes - 1), Causal())}};
}

// Of every dtype and shape that the cases below name.
TensorMap Tensors() {
  TensorMap tensors;
  const auto add = [&](const char* name, DType dtype, const std::vector<int64_t>& shape) {
    tensors[name] = {nullptr, dtype, TensorLayout::Contiguous(shape)};
  };
  add("ids", DType::kInt32, {3, 35});
  add("ids1", DType::kInt64, {1, 30});
  add("ids2", DType::kInt32, {2, 5});
  add("flags", DType::kUint8, {3, 25});
  add("bits1", DType::kBits, {1, 25});
  add("floats", DType::kFloat32, {3, 25});
  add("empty", DType::kInt32, {3, 0});
  add("heads", DType::kInt32, {2});
  add("samples", DType::kInt64, {3});
  add("sample1", DType::kInt32, {1});
  add("dense", DType::kBits, {3, 2, 20, 30});
  add("dense1", DType::kInt8, {1, 1, 20, 1});
  add("dense_k", DType::kUint8, {1, 1, 20, 29});
  add("counts", DType::kInt32, {1, 2, 3});
  add("lists", DType::kInt32, {3, 1, 3, 4});
  add("counts1", DType::kInt32, {1, 1, 3});
  add("lists1", DType::kInt64, {1, 1, 3, 2});
  add("lists_wide", DType::kInt32, {1, 1, 3, 5});
  add("lists_rows", DType::kInt32, {1, 1, 4, 4});
  return tensors;
}

mask_op::Blocks Blocks(const std::string& counts, const std::string& lists,
                       const std::string& full_counts = "", const std::string& full_lists = "") {
  return {8, 8, counts, lists, full_counts, full_lists};
}

mask_op::Blocks BlocksOf(const MaskNode& partial) {
  mask_op::Blocks blocks = Blocks("counts1", "lists1", "counts", "lists1");
  blocks.partial = {partial};
  return blocks;
}

struct RefusedTree {
  const char* name;
  MaskNode root;
  const char* message;
  int64_t q_offset = 0;
};

std::vector<RefusedTree> RefusedLeaves() {
  return {
      {"IdsOfAnotherBatch",
       {mask_op::All{{Causal(), {mask_op::Packed{"ids2"}}}}},
       "mask.expression.and[1].packed: ids 'ids2' has shape [2, 5], allowed: [1 or 3, L]"},
      {"NoSuchTensor",
       {mask_op::Blockwise{"idz"}},
       "mask.expression.blockwise: ids 'idz' is no tensor of the call"},
      {"NoTensorNamed",
       {mask_op::Packed{}},
       "mask.expression.packed: ids is required and names no tensor"},
      {"FloatIds",
       {mask_op::Packed{"floats"}},
       "mask.expression.packed: ids 'floats' has dtype fp32, allowed: int32, int64"},
      {"IntegerPadding",
       {mask_op::Padding{"ids", ""}},
       "mask.expression.padding: mask 'ids' has dtype int32, allowed: uint8, int8, bits"},
      {"IdsOfNoToken",
       {mask_op::Packed{"empty"}},
       "mask.expression.packed: ids 'empty' has shape [3, 0], allowed: [1 or 3, L]"},
      {"IdsOfRankOne",
       {mask_op::Packed{"samples"}},
       "mask.expression.packed: ids 'samples' has shape [3], allowed: [1 or 3, L]"},
      {"PaddingOfNothing",
       {mask_op::Padding{}},
       "mask.expression.padding: neither mask nor lengths given, allowed: one of them"},
      {"PaddingOfBoth",
       {mask_op::Padding{"flags", "samples"}},
       "mask.expression.padding: both mask and lengths given, allowed: one of them"},
      {"LengthsOfHeads",
       {mask_op::Padding{"", "heads"}},
       "mask.expression.padding: lengths 'heads' has shape [2], allowed: [1 or 3]"},
      {"NegativePrefix",
       {mask_op::Prefix{-1, ""}},
       "mask.expression.prefix: length is -1, allowed: 0 to 4503599627370496"},
      {"PrefixTwice",
       {mask_op::Prefix{4, "samples"}},
       "mask.expression.prefix: both length and lengths given, allowed: one of them"},
      {"NegativeWindow",
       {mask_op::SlidingWindow{-1, ""}},
       "mask.expression.sliding_window: window is -1, allowed: 0 to 4503599627370496"},
      {"WindowTwice",
       {mask_op::BidirectionalWindow{3, "heads"}},
       "mask.expression.bidirectional_window: both window and window_per_head given, allowed: one "
       "of them"},
      {"WindowsOfSamples",
       {mask_op::SlidingWindow{0, "samples"}},
       "mask.expression.sliding_window: window_per_head 'samples' has shape [3], allowed: [2]"},
      {"NoChunk",
       {mask_op::Chunked{0, ""}},
       "mask.expression.chunked: chunk is 0, allowed: 1 to 4503599627370496"},
      {"LeftPaddingOfHeads",
       {mask_op::Chunked{4, "heads"}},
       "mask.expression.chunked: left_padding 'heads' has shape [2], allowed: [1 or 3]"},
      {"DenseOfOtherKeys",
       {mask_op::Dense{"dense_k"}},
       "mask.expression.dense: mask 'dense_k' has shape [1, 1, 20, 29], allowed: [1 or 3, 1 or 2, "
       "1 or 20, 1 or 30]"},
      {"UnknownFunction",
       {mask_op::Function{"stripe", {}, {}}},
       "mask.expression.function: unknown mask function 'stripe'; did you mean 'stripes'? known: "
       "stripes"},
      {"FunctionRefusesArguments",
       {mask_op::Function{"stripes", {0, 1}, {}}},
       "mask.expression.function: stripes: takes a period of 1 or more, what is kept, no tensors"},
      {"FunctionOfNoSuchTensor",
       {mask_op::Function{"stripes", {3, 1}, {"ids", "idz"}}},
       "mask.expression.function: tensors[1] 'idz' is no tensor of the call"},
  };
}

std::vector<RefusedTree> RefusedBlocks() {
  return {
      {"NoBlockSize",
       {mask_op::Blocks{0, 8, "counts", "lists", "", ""}},
       "mask.expression.blocks: block_q is 0, allowed: 1 to 2147483647"},
      {"RowsOfOtherBlocks",
       {Blocks("counts1", "lists_rows")},
       "mask.expression.blocks: kv_indices 'lists_rows' has shape [1, 1, 4, 4], allowed: [1 or 3, "
       "1 or 2, 3, 1 to 4]"},
      {"ListsWiderThanTheRow",
       {Blocks("counts1", "lists_wide")},
       "mask.expression.blocks: kv_indices 'lists_wide' has shape [1, 1, 3, 5], allowed: [1 or 3, "
       "1 or 2, 3, 1 to 4]"},
      {"NoLists",
       {Blocks("counts", "")},
       "mask.expression.blocks: kv_indices is required and names no tensor"},
      {"FullCountsAlone",
       {Blocks("counts", "lists", "counts1")},
       "mask.expression.blocks: full_kv_num_blocks given alone, allowed: both of "
       "full_kv_num_blocks and full_kv_indices, or neither"},
      {"FullListsAlone",
       {Blocks("counts", "lists", "", "lists1")},
       "mask.expression.blocks: full_kv_indices given alone, allowed: both of full_kv_num_blocks "
       "and full_kv_indices, or neither"},
      {"PartialOfTwo",
       {mask_op::Blocks{8, 8, "counts1", "lists1", "", "", {Causal(), Causal()}}},
       "mask.expression.blocks: has 2 args, allowed: 0 or 1"},
      {"PartialOfNothing",
       {BlocksOf({mask_op::All{}})},
       "mask.expression.blocks.and: has no args, allowed: 1 or more"},
      {"PartialTooDeep",
       {BlocksOf(Nested(kMaxMaskDepth))},
       "mask.expression: nested deeper than the allowed 16"},
      {"PartialTooLarge",
       {BlocksOf(Wide(kMaxMaskNodes))},
       "mask.expression: has more than the allowed 64 nodes"},
  };
}

std::vector<RefusedTree> BadTrees() {
  return {
      {"TooDeep", Nested(kMaxMaskDepth + 1), "mask.expression: nested deeper than the allowed 16"},
      {"TooLarge", Wide(kMaxMaskNodes + 1), "mask.expression: has more than the allowed 64 nodes"},
      {"AndOfNothing", {mask_op::All{}}, "mask.expression.and: has no args, allowed: 1 or more"},
      {"OrOfNothing",
       {mask_op::Offset{1, 2, {{mask_op::Any{}}}}},
       "mask.expression.offset.or: has no args, allowed: 1 or more"},
      {"NotOfTwo",
       {mask_op::Not{{Causal(), Causal()}}},
       "mask.expression.not: has 2 args, allowed: 1"},
      {"RemapOfNothing",
       {mask_op::Remap{"ids", {}}},
       "mask.expression.remap: has 0 args, allowed: 1"},
      {"RemapByFlags",
       {mask_op::Remap{"flags", {Causal()}}},
       "mask.expression.remap: positions 'flags' has dtype uint8, allowed: int32, int64"},
      {"OffsetTooFar",
       {mask_op::Offset{0, kMaxMaskNumber + 1, {Causal()}}},
       "mask.expression.offset: kv is 4503599627370497, allowed: -4503599627370496 to "
       "4503599627370496"},
      {"DeepDown",
       {mask_op::Any{{Causal(), {mask_op::Not{{{mask_op::Remap{"ids", {{mask_op::Packed{}}}}}}}}}}},
       "mask.expression.or[1].not.remap.packed: ids is required and names no tensor"},
      {"StartTooFar", Causal(),
       "mask: q_offset is -4503599627370497, allowed: -4503599627370496 to 4503599627370496",
       -kMaxMaskNumber - 1},
  };
}

class RefusedExpression : public testing::TestWithParam<RefusedTree> {};

TEST_P(RefusedExpression, IsNamedWithItsPath) {
  const auto expression = MaskExpression::Create({GetParam().root, GetParam().q_offset, 0},
                                                 kTreeSizes, Tensors(), {&StripesFunction()});
  EXPECT_EQ(expression.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(expression.status().message()), GetParam().message);
}

constexpr auto kRefusedName = [](const auto& test) { return std::string(test.param.name); };
INSTANTIATE_TEST_SUITE_P(Leaves, RefusedExpression, testing::ValuesIn(RefusedLeaves()),
                         kRefusedName);
INSTANTIATE_TEST_SUITE_P(Blocks, RefusedExpression, testing::ValuesIn(RefusedBlocks()),
                         kRefusedName);
INSTANTIATE_TEST_SUITE_P(Trees, RefusedExpression, testing::ValuesIn(BadTrees()), kRefusedName);

TEST(MaskExpression, RefusesMoreBlocksThanFitInMemory) {
  // A list of one entry a row; every one of 2^16 blocks a row would get a bit.
  const MaskSizes sizes = {.batch = 1, .heads = 1, .query_len = 1 << 16, .key_len = 1 << 16};
  TensorMap tensors;
  tensors["n"] = {nullptr, DType::kInt32,
                  TensorLayout::Contiguous(std::vector<int64_t>{1, 1, 65536})};
  tensors["i"] = {nullptr, DType::kInt32,
                  TensorLayout::Contiguous(std::vector<int64_t>{1, 1, 65536, 1})};
  const auto expression =
      MaskExpression::Create({{mask_op::Blocks{1, 1, "n", "i", "", ""}}}, sizes, tensors, {});
  EXPECT_EQ(std::string(expression.status().message()),
            "mask.expression.blocks: has [1, 1, 65536, 65536] blocks, allowed: 1073741824 of all "
            "block lists together");
  // Half as many, but partial and full ones apart.
  tensors["i"].layout = tensors["n"].layout =
      TensorLayout::Contiguous(std::vector<int64_t>{1, 1, 32768});
  tensors["i"].layout = TensorLayout::Contiguous(std::vector<int64_t>{1, 1, 32768, 1});
  const MaskSizes half = {.batch = 1, .heads = 1, .query_len = 1 << 15, .key_len = 1 << 15};
  const MaskNode lists = {mask_op::Blocks{1, 1, "n", "i", "n", "i"}};
  EXPECT_TRUE(MaskExpression::Create({lists}, half, tensors, {}).ok());
  const MaskNode apart = {mask_op::Blocks{1, 1, "n", "i", "n", "i", {Causal()}}};
  EXPECT_EQ(std::string(MaskExpression::Create({apart}, half, tensors, {}).status().message()),
            "mask.expression.blocks: has twice [1, 1, 32768, 32768] blocks, allowed: 1073741824 of "
            "all block lists together");
}

struct Varying {
  const char* name;
  MaskNode root;
  bool per_sample;
  bool per_head;
};

class VaryingExpression : public testing::TestWithParam<Varying> {};

TEST_P(VaryingExpression, SaysWhatTellsSamplesAndHeadsApart) {
  const auto expression =
      MaskExpression::Create({GetParam().root}, kTreeSizes, Tensors(), {&StripesFunction()});
  ASSERT_TRUE(expression.ok()) << expression.status();
  EXPECT_EQ((*expression)->per_sample(), GetParam().per_sample);
  EXPECT_EQ((*expression)->per_head(), GetParam().per_head);
}

INSTANTIATE_TEST_SUITE_P(
    Nodes, VaryingExpression,
    testing::Values(
        Varying{"Causal", Causal(), false, false},
        Varying{"IdsOfEachSample", {mask_op::Packed{"ids"}}, true, false},
        Varying{"IdsOfAll", {mask_op::Packed{"ids1"}}, false, false},
        Varying{"BitsOfAll", {mask_op::Padding{"bits1", ""}}, false, false},
        Varying{"Lengths", {mask_op::Prefix{0, "samples"}}, true, false},
        Varying{"LengthOfAll", {mask_op::Padding{"", "sample1"}}, false, false},
        Varying{"Windows", {mask_op::SlidingWindow{0, "heads"}}, false, true},
        Varying{"Dense", {mask_op::Dense{"dense"}}, true, true},
        Varying{"DenseOfAll", {mask_op::Dense{"dense1"}}, false, false},
        Varying{"BlocksOfSamplesAndHeads", {Blocks("counts", "lists")}, true, true},
        Varying{"BlocksOfAll", {Blocks("counts1", "lists1", "counts1", "lists1")}, false, false},
        Varying{"InsidePartialBlocks", {BlocksOf({mask_op::Packed{"ids"}})}, true, true},
        Varying{"Function", {mask_op::Function{"stripes", {3, 1}, {}}}, true, true},
        Varying{"Below", {mask_op::Not{{{mask_op::Remap{"ids", {Causal()}}}}}}, true, false},
        Varying{"AsDeepAsAllowed", Nested(kMaxMaskDepth), false, false},
        Varying{"AsLargeAsAllowed", Wide(kMaxMaskNodes), false, false}),
    kRefusedName);

TEST(MaskExpression, CountsWhatItsBlockListsTake) {
  const MaskNode lists = {Blocks("counts", "lists")};
  const auto expression =
      MaskExpression::Create({{mask_op::All{{lists, lists, Causal()}}}}, kTreeSizes, Tensors(), {});
  ASSERT_TRUE(expression.ok()) << expression.status();
  // A word each for 3 samples, 2 heads and 3 rows of 4 blocks, twice.
  EXPECT_EQ((*expression)->program_bytes(), 2 * 3 * 2 * 3 * 8);
  const auto apart = MaskExpression::Create({{BlocksOf(Causal())}}, kTreeSizes, Tensors(), {});
  ASSERT_TRUE(apart.ok()) << apart.status();
  EXPECT_EQ((*apart)->program_bytes(), 2 * 1 * 2 * 3 * 8);  // Partial and full ones.
}

TEST(MaskExpression, NamesItsNodesAsTheJsonFormDoes) {
  const std::pair<MaskNode, const char*> named[] = {
      {{mask_op::Causal{}}, "causal"},
      {{mask_op::Bidirectional{}}, "bidirectional"},
      {{mask_op::SlidingWindow{}}, "sliding_window"},
      {{mask_op::BidirectionalWindow{}}, "bidirectional_window"},
      {{mask_op::Chunked{}}, "chunked"},
      {{mask_op::Blockwise{}}, "blockwise"},
      {{mask_op::Packed{}}, "packed"},
      {{mask_op::Padding{}}, "padding"},
      {{mask_op::Prefix{}}, "prefix"},
      {{mask_op::Dense{}}, "dense"},
      {{mask_op::Blocks{}}, "blocks"},
      {{mask_op::Function{}}, "function"},
      {{mask_op::All{}}, "and"},
      {{mask_op::Any{}}, "or"},
      {{mask_op::Not{}}, "not"},
      {{mask_op::Offset{}}, "offset"},
      {{mask_op::Remap{}}, "remap"}};
  for (const auto& [node, name] : named) EXPECT_STREQ(Name(node), name);
}

TEST(MaskExpression, KnowsTheTensorsOfItsNodes) {
  EXPECT_THAT(TensorsOf({Blocks("a", "b", "c", "d")}), testing::ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(TensorsOf({mask_op::Function{"f", {}, {"x", "y"}}}), testing::ElementsAre("x", "y"));
  EXPECT_THAT(TensorsOf({mask_op::Remap{"p", {{mask_op::Packed{"ids"}}}}}),
              testing::ElementsAre("p"));
  EXPECT_THAT(TensorsOf({mask_op::Padding{"", "lengths"}}), testing::ElementsAre("lengths"));
  EXPECT_THAT(TensorsOf(Causal()), testing::IsEmpty());
}

}  // namespace
}  // namespace attn
