#include "server/transport/mask_conversion.h"

#include <string>
#include <variant>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "server/transport/mask_json.h"

namespace attn {
namespace {

namespace v1 = attention::v1;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

MaskNode ReadNode(const std::string& json) {
  const absl::StatusOr<v1::MaskExpression> expression = ParseMaskJson(json);
  EXPECT_TRUE(expression.ok()) << json << ": " << expression.status();
  const absl::StatusOr<MaskExpressionSpec> spec = FromProto(*expression);
  EXPECT_TRUE(spec.ok()) << json << ": " << spec.status();
  return spec->root;
}

// The operator that the JSON must have come to.
template <typename Op>
Op ReadOp(const std::string& json) {
  MaskNode node = ReadNode(json);
  EXPECT_TRUE(std::holds_alternative<Op>(node.op)) << json;
  return std::get<Op>(std::move(node.op));
}

TEST(MaskTreeConversionTest, LeavesKeepTheirFields) {
  ReadOp<mask_op::Causal>(R"({"op": "causal"})");
  ReadOp<mask_op::Bidirectional>(R"({"op": "bidirectional"})");
  EXPECT_EQ(ReadOp<mask_op::SlidingWindow>(R"({"op": "sliding_window", "window": 7})").window, 7);
  EXPECT_EQ(ReadOp<mask_op::SlidingWindow>(R"({"op": "sliding_window", "window_per_head": "w"})")
                .per_head,
            "w");
  const auto window = ReadOp<mask_op::BidirectionalWindow>(
      R"({"op": "bidirectional_window", "window": 4, "window_per_head": "w"})");
  EXPECT_EQ(window.window, 4);
  EXPECT_EQ(window.per_head, "w");
  const auto chunked =
      ReadOp<mask_op::Chunked>(R"({"op": "chunked", "chunk": 16, "left_padding": "p"})");
  EXPECT_EQ(chunked.chunk, 16);
  EXPECT_EQ(chunked.left_padding, "p");
  EXPECT_EQ(ReadOp<mask_op::Blockwise>(R"({"op": "blockwise", "ids": "i"})").ids, "i");
  EXPECT_EQ(ReadOp<mask_op::Packed>(R"({"op": "packed", "ids": "i"})").ids, "i");
  EXPECT_EQ(ReadOp<mask_op::Padding>(R"({"op": "padding", "mask": "m"})").mask, "m");
  EXPECT_EQ(ReadOp<mask_op::Padding>(R"({"op": "padding", "lengths": "n"})").lengths, "n");
  EXPECT_EQ(ReadOp<mask_op::Prefix>(R"({"op": "prefix", "length": 9})").length, 9);
  EXPECT_EQ(ReadOp<mask_op::Prefix>(R"({"op": "prefix", "lengths": "n"})").lengths, "n");
  EXPECT_EQ(ReadOp<mask_op::Dense>(R"({"op": "dense", "mask": "m"})").mask, "m");
}

TEST(MaskTreeConversionTest, BlocksHaveTorchsSizeUnlessTheySayOtherwise) {
  const auto usual = ReadOp<mask_op::Blocks>(R"({"op": "blocks"})");
  EXPECT_EQ(usual.block_q, 128);
  EXPECT_EQ(usual.block_kv, 128);
  const auto own = ReadOp<mask_op::Blocks>(
      R"({"op": "blocks", "block_q": 64, "block_kv": 32, "kv_num_blocks": "a", "kv_indices": "b",)"
      R"( "full_kv_num_blocks": "c", "full_kv_indices": "d"})");
  EXPECT_EQ(own.block_q, 64);
  EXPECT_EQ(own.block_kv, 32);
  EXPECT_THAT(
      (std::vector{own.kv_num_blocks, own.kv_indices, own.full_kv_num_blocks, own.full_kv_indices}),
      ElementsAre("a", "b", "c", "d"));
  EXPECT_TRUE(own.partial.empty());
}

TEST(MaskTreeConversionTest, BlocksHoldWhatCountsInsidePartialOnes) {
  const auto blocks =
      ReadOp<mask_op::Blocks>(R"({"op": "blocks", "kv_num_blocks": "a", "kv_indices": "b",)"
                              R"( "partial": {"op": "not", "arg": {"op": "packed", "ids": "i"}}})");
  EXPECT_EQ(blocks.kv_indices, "b");
  ASSERT_EQ(blocks.partial.size(), 1U);
  const auto& negation = std::get<mask_op::Not>(blocks.partial[0].op);
  EXPECT_EQ(std::get<mask_op::Packed>(negation.arg.at(0).op).ids, "i");
}

TEST(MaskTreeConversionTest, TreesKeepTheirShape) {
  const auto all = ReadOp<mask_op::All>(
      R"({"op": "and", "args": [{"op": "or", "args": [{"op": "causal"}]},)"
      R"( {"op": "not", "arg": {"op": "packed", "ids": "i"}},)"
      R"( {"op": "offset", "q": 3, "kv": -4, "arg": {"op": "causal"}},)"
      R"( {"op": "remap", "positions": "p", "arg": {"op": "bidirectional"}},)"
      R"( {"op": "function", "name": "f", "arguments": [0.5], "tensors": ["a", "b"]}]})");
  ASSERT_EQ(all.args.size(), 5U);
  const auto& any = std::get<mask_op::Any>(all.args[0].op);
  ASSERT_EQ(any.args.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<mask_op::Causal>(any.args[0].op));
  const auto& negation = std::get<mask_op::Not>(all.args[1].op);
  ASSERT_EQ(negation.arg.size(), 1U);
  EXPECT_EQ(std::get<mask_op::Packed>(negation.arg[0].op).ids, "i");
  const auto& offset = std::get<mask_op::Offset>(all.args[2].op);
  EXPECT_EQ(offset.q, 3);
  EXPECT_EQ(offset.kv, -4);
  EXPECT_TRUE(std::holds_alternative<mask_op::Causal>(offset.arg.at(0).op));
  const auto& remap = std::get<mask_op::Remap>(all.args[3].op);
  EXPECT_EQ(remap.positions, "p");
  EXPECT_TRUE(std::holds_alternative<mask_op::Bidirectional>(remap.arg.at(0).op));
  const auto& function = std::get<mask_op::Function>(all.args[4].op);
  EXPECT_EQ(function.name, "f");
  EXPECT_THAT(function.arguments, ElementsAre(0.5));
  EXPECT_THAT(function.tensors, ElementsAre("a", "b"));
}

TEST(MaskTreeConversionTest, RefusesWhatHasNoStructure) {
  const struct {
    const char* text;
    const char* error;
  } cases[] = {
      {"", "mask.expression: no operator is set"},
      {"negation {}", "mask.expression.not: no operator is set"},
      {"all_of { args { causal {} } args {} }", "mask.expression.and[1]: no operator is set"},
      {"any_of { args { offset {} } }", "mask.expression.or[0].offset: arg is missing"},
      {"remap { positions: \"p\" }", "mask.expression.remap: arg is missing"},
      {"negation { blocks { partial {} } }", "mask.expression.not.blocks: no operator is set"},
      {"remap { arg { offset { arg {} } } }", "mask.expression.remap.offset: no operator is set"},
  };
  for (const auto& c : cases) {
    v1::MaskExpression expression;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(c.text, &expression)) << c.text;
    const absl::Status status = FromProto(expression).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.text;
    EXPECT_EQ(status.message(), c.error);
  }
}

v1::MaskExpression Nested(int depth) {
  v1::MaskExpression expression;
  v1::MaskExpression* node = &expression;
  for (int i = 1; i < depth; ++i) node = node->mutable_negation();
  node->mutable_causal();
  return expression;
}

TEST(MaskTreeConversionTest, DepthIsBounded) {
  EXPECT_TRUE(FromProto(Nested(16)).ok());
  const absl::Status status = FromProto(Nested(17)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("nests deeper than 16 operators"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("mask.expression.not.not"));
  EXPECT_FALSE(FromProto(Nested(5000)).ok());
}

TEST(MaskTreeConversionTest, NodesAreBounded) {
  v1::MaskExpression expression;
  for (int i = 0; i < 63; ++i) expression.mutable_all_of()->add_args()->mutable_causal();
  EXPECT_TRUE(FromProto(expression).ok());
  expression.mutable_all_of()->add_args()->mutable_causal();
  const absl::Status status = FromProto(expression).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "mask.expression.and[63]: more than 64 operators in one mask");
}

}  // namespace
}  // namespace attn
