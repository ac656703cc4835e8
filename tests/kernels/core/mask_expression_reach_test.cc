// Tables of a mask expression that end before the positions at which it reads them.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/core/limits.h"
#include "kernels/core/mask_expression.h"

namespace attn {
namespace {

constexpr MaskSizes kReachSizes = {.batch = 3, .heads = 2, .query_len = 20, .key_len = 30};

const MaskNode kAnything = {mask_op::Causal{}};

TensorMap TokenTables() {
  TensorMap tensors;
  const auto add = [&](const char* name, DType dtype, const std::vector<int64_t>& shape) {
    tensors[name] = {nullptr, dtype, TensorLayout::Contiguous(shape)};
  };
  add("ids", DType::kInt32, {3, 35});
  add("just_ids", DType::kInt64, {1, 30});
  add("short_ids", DType::kInt32, {3, 20});
  add("few_ids", DType::kInt64, {1, 7});
  add("few_bits", DType::kBits, {1, 7});
  add("counts", DType::kInt32, {1, 1, 3});
  add("lists", DType::kInt32, {1, 1, 3, 4});
  return tensors;
}

mask_op::Blocks PartialBlocksOf(const MaskNode& partial) {
  return {8, 8, "counts", "lists", "", "", {partial}};
}

struct ShortTable {
  const char* name;
  MaskNode root;
  const char* message;
  int64_t q_offset = 0;
  int64_t kv_offset = 0;
};

// Queries stand at 0 to 19, keys at 0 to 29.
std::vector<ShortTable> ShortTables() {
  const MaskNode short_ids = {mask_op::Packed{"short_ids"}};
  const MaskNode ids = {mask_op::Packed{"ids"}};
  return {
      {"OfKeys",
       {mask_op::All{{kAnything, short_ids}}},
       "mask.expression.and[1].packed: ids 'short_ids' has 20 positions, allowed: at least 30, the "
       "mask evaluates it at positions up to 29"},
      {"OfQueriesBehindACache", ids,
       "mask.expression.packed: ids 'ids' has 35 positions, allowed: at least 36, the mask "
       "evaluates it at positions up to 35",
       16},
      {"OfKeysBehindACache", ids,
       "mask.expression.packed: ids 'ids' has 35 positions, allowed: at least 36, the mask "
       "evaluates it at positions up to 35",
       0, 6},
      {"OfKeysMoved",
       {mask_op::Offset{-5, 4, {{mask_op::Not{{{mask_op::Offset{0, 2, {ids}}}}}}}}},
       "mask.expression.offset.not.offset.packed: ids 'ids' has 35 positions, allowed: at least "
       "36, the mask evaluates it at positions up to 35"},
      {"OfQueriesMoved",
       {mask_op::Offset{16, -100, {ids}}},
       "mask.expression.offset.packed: ids 'ids' has 35 positions, allowed: at least 36, the mask "
       "evaluates it at positions up to 35"},
      {"OfARemap",
       {mask_op::Any{{kAnything, {mask_op::Remap{"few_ids", {kAnything}}}}}},
       "mask.expression.or[1].remap: positions 'few_ids' has 7 positions, allowed: at least 30, "
       "the mask evaluates it at positions up to 29"},
      {"OfPartialBlocks",
       {PartialBlocksOf({mask_op::Not{{short_ids}}})},
       "mask.expression.blocks.not.packed: ids 'short_ids' has 20 positions, allowed: at least 30, "
       "the mask evaluates it at positions up to 29"},
      {"AsFarAsPositionsGo", ids,
       "mask.expression.packed: ids 'ids' has 35 positions, allowed: at least 4503599627370516, "
       "the mask evaluates it at positions up to 4503599627370515",
       kMaxMaskNumber},
  };
}

class TooShort : public testing::TestWithParam<ShortTable> {};

TEST_P(TooShort, IsNamedWithWhatIsNeeded) {
  const MaskExpressionSpec spec = {GetParam().root, GetParam().q_offset, GetParam().kv_offset};
  const auto expression = MaskExpression::Create(spec, kReachSizes, TokenTables(), {});
  EXPECT_EQ(expression.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(expression.status().message()), GetParam().message);
}

constexpr auto kTableName = [](const auto& test) { return std::string(test.param.name); };
INSTANTIATE_TEST_SUITE_P(Tables, TooShort, testing::ValuesIn(ShortTables()), kTableName);

struct TakenTables {
  const char* name;
  MaskNode root;
  int64_t q_offset = 0;
  int64_t kv_offset = 0;
};

class LongEnough : public testing::TestWithParam<TakenTables> {};

TEST_P(LongEnough, IsTaken) {
  const MaskExpressionSpec spec = {GetParam().root, GetParam().q_offset, GetParam().kv_offset};
  const auto expression = MaskExpression::Create(spec, kReachSizes, TokenTables(), {});
  EXPECT_TRUE(expression.ok()) << expression.status();
}

INSTANTIATE_TEST_SUITE_P(
    Tables, LongEnough,
    testing::Values(
        TakenTables{"Exactly", {mask_op::Packed{"just_ids"}}},
        TakenTables{"Longer", {mask_op::Packed{"ids"}}},
        TakenTables{"UpToTheLastQuery", {mask_op::Packed{"ids"}}, 15, 5},
        TakenTables{"MovedBack", {mask_op::Offset{-20, -10, {{mask_op::Packed{"short_ids"}}}}}, 20},
        TakenTables{"OnlyBelowZero", {mask_op::Packed{"few_ids"}}, -20, -30},
        TakenTables{
            "WhereARemapDecides",
            {mask_op::Remap{
                "ids",
                {{mask_op::Offset{1000, 1000, {{mask_op::Remap{"few_ids", {kAnything}}}}}}}}}},
        TakenTables{
            "WithAValuePastTheEnd",
            {mask_op::Any{{{mask_op::Blockwise{"few_ids"}}, {mask_op::Padding{"few_bits", ""}}}}},
            1000}),
    kTableName);

}  // namespace
}  // namespace attn
