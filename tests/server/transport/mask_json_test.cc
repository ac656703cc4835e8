#include "server/transport/mask_json.h"

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace attn {
namespace {

namespace v1 = attention::v1;
using ::testing::HasSubstr;

// Every operator with all its keys; as transformers' masks come, and ours.
const char* const kMasks[] = {
    R"({"op":"causal"})",
    R"({"op":"bidirectional"})",
    R"({"op":"sliding_window","window":70})",
    R"({"op":"sliding_window","window_per_head":"w"})",
    R"({"op":"bidirectional_window","window":10})",
    R"({"op":"bidirectional_window","window_per_head":"window_per_head"})",
    R"({"op":"chunked","chunk":16,"left_padding":"left_padding"})",
    R"({"op":"blockwise","ids":"block_sequence_ids"})",
    R"({"op":"packed","ids":"sequence_ids"})",
    R"({"op":"padding","mask":"padding_mask"})",
    R"({"op":"padding","lengths":"n"})",
    R"({"op":"prefix","length":7})",
    R"({"op":"prefix","lengths":"n"})",
    R"({"op":"dense","mask":"m"})",
    R"({"op":"blocks","block_q":64,"block_kv":32,"kv_num_blocks":"a","kv_indices":"b",)"
    R"("full_kv_num_blocks":"c","full_kv_indices":"d"})",
    R"({"op":"blocks","kv_num_blocks":"a","kv_indices":"b",)"
    R"("partial":{"op":"and","args":[{"op":"causal"}]}})",
    R"({"op":"function","name":"f","arguments":[1.0,-0.5],"tensors":["a","b"]})",
    R"({"op":"and","args":[{"op":"causal"},{"op":"packed","ids":"i"}]})",
    R"({"op":"or","args":[{"op":"causal"}]})",
    R"({"op":"not","arg":{"op":"not","arg":{"op":"causal"}}})",
    R"({"op":"offset","q":120,"kv":-20,"arg":{"op":"and","args":[{"op":"causal"}]}})",
    R"({"op":"remap","positions":"position_ids","arg":{"op":"causal"}})",
};

TEST(MaskJsonTest, ReadsAndWritesEveryOperator) {
  for (const char* text : kMasks) {
    const absl::StatusOr<v1::MaskExpression> mask = ParseMaskJson(text);
    ASSERT_TRUE(mask.ok()) << text << ": " << mask.status();
    EXPECT_EQ(MaskJson(*mask), text);
  }
}

TEST(MaskJsonTest, EveryOperatorOfTheContractIsAmongThem) {
  std::set<int> ops;
  for (const char* text : kMasks) ops.insert(ParseMaskJson(text)->op_case());
  EXPECT_EQ(static_cast<int>(ops.size()), v1::MaskExpression::descriptor()->field_count());
}

TEST(MaskJsonTest, MeansWhatTheContractNames) {
  const absl::StatusOr<v1::MaskExpression> read = ParseMaskJson(
      R"( {"args": [{"op": "not", "arg": {"op": "prefix", "length": 3}},
                    {"arg": {"op": "function", "name": "f", "arguments": [1, 2.5]},
                     "q": -4, "op": "offset"}],
           "op": "or"} )");
  ASSERT_TRUE(read.ok()) << read.status();
  v1::MaskExpression expected;
  expected.mutable_any_of()->add_args()->mutable_negation()->mutable_prefix()->set_length(3);
  v1::MaskExpression::Offset* offset = expected.mutable_any_of()->add_args()->mutable_offset();
  offset->set_q(-4);
  v1::MaskExpression::Function* function = offset->mutable_arg()->mutable_function();
  function->set_name("f");
  function->add_arguments(1);
  function->add_arguments(2.5);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(*read, expected))
      << read->DebugString();
}

TEST(MaskJsonTest, RefusesWhereAndWhy) {
  const struct {
    const char* text;
    const char* error;
  } cases[] = {
      {"", "mask: not JSON at byte"},
      {"causal", "mask: not JSON at byte"},
      {"{\"op\": \"causal\"} x", "mask: not JSON at byte"},
      {"{\"op\": \"\xff\"}", "mask: not JSON at byte"},
      {"\"causal\"", "mask: an object with \"op\": \"name\" is needed"},
      {"[]", "mask: an object with"},
      {"null", "mask: an object with"},
      {"{}", "mask: an object with"},
      {R"({"op": 3})", "mask: an object with"},
      {R"({"op": "casual"})", "mask: unknown operator 'casual'; did you mean 'causal'?"},
      {R"({"op": "all_of", "args": []})", "mask: unknown operator 'all_of'"},
      {R"({"op": "causal", "window": 3})", "mask.causal: unknown key 'window'"},
      {R"({"op": "packed", "id": "x"})", "mask.packed: unknown key 'id'; did you mean 'ids'?"},
      {R"({"op": "packed", "ids": 3})", "mask.packed.ids: '3' is no text"},
      {R"({"op": "packed", "ids": null})", "mask.packed.ids: 'null' is no text"},
      {R"({"op": "prefix", "length": 3.5})", "mask.prefix.length: '3.5' is no integer"},
      {R"({"op": "prefix", "length": true})", "mask.prefix.length: 'true' is no integer"},
      {R"({"op": "prefix", "length": 9223372036854775808})", "is no integer of 64 bits"},
      {R"({"op": "prefix", "length": 1e999})", "a number exceeds a double"},
      {R"({"op": "prefix", "length": 1, "length": 2})", "key 'length' stands twice"},
      {R"({"op": "not"})", "mask.not: arg is missing"},
      {R"({"op": "remap", "positions": "p"})", "mask.remap: arg is missing"},
      {R"({"op": "not", "arg": {"op": "casual"}})", "mask.not: unknown operator 'casual'"},
      {R"({"op": "and", "args": {"op": "causal"}})", "mask.and.args: a list [...] is needed"},
      {R"({"op": "and", "args": [{"op": "causal"}, {"op": "or", "args": [4]}]})",
       "mask.and[1].or[0]: an object with"},
      {R"({"op": "function", "name": "f", "arguments": ["1"]})", "is no number"},
      {R"({"op": "blocks", "partial": 3})", "mask.blocks: an object with"},
      {R"({"op": "blocks", "partial": {"op": "casual"}})",
       "mask.blocks: unknown operator 'casual'"},
      {R"({"op": "blocks", "arg": {"op": "causal"}})", "mask.blocks: unknown key 'arg'"},
  };
  for (const auto& c : cases) {
    const absl::Status status = ParseMaskJson(c.text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.error)) << c.text;
  }
}

TEST(MaskJsonTest, DeepNestingIsRefusedBeforeAnybodyRecurses) {
  std::string nots;
  std::string ends;
  for (int i = 0; i < 10'000; ++i) {
    absl::StrAppend(&nots, R"({"op":"not","arg":)");
    ends += '}';
  }
  const std::string deep[] = {std::string(1'000'000, '['), nots,
                              absl::StrCat(nots, R"({"op":"causal"})", ends)};
  for (const std::string& text : deep) {
    const absl::Status status = ParseMaskJson(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(ParseMaskJson(deep[2]).status().message(), "mask: nests deeper than 16");
}

TEST(MaskJsonTest, SixteenDeepIsTaken) {
  std::string text = R"({"op":"causal"})";
  for (int i = 1; i < 16; ++i) text = absl::StrCat(R"({"op":"and","args":[)", text, "]}");
  const absl::StatusOr<v1::MaskExpression> mask = ParseMaskJson(text);
  ASSERT_TRUE(mask.ok()) << mask.status();
  EXPECT_EQ(MaskJson(*mask), text);
}

}  // namespace
}  // namespace attn
