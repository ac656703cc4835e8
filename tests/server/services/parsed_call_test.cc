#include "server/services/parsed_call.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/services/parsed_request.h"

namespace attn {
namespace {

namespace v1 = attention::v1;
using ::testing::ElementsAre;

ParsedCall ParseGood(const std::string& fields, const std::vector<TensorText>& tensors,
                     const std::vector<TensorText>& more = {}) {
  absl::StatusOr<ParsedCall> call = ParseText(fields, tensors, more);
  EXPECT_TRUE(call.ok()) << fields << ": " << call.status();
  return call.ok() ? *std::move(call) : ParsedCall();
}

std::vector<std::string> OutputTexts(const ParsedCall& call) {
  std::vector<std::string> texts;
  for (const OutputTensor& output : call.outputs) {
    texts.push_back(output.name + " " + ShapeText(output.shape) +
                    (output.pattern.empty() ? "" : " " + output.pattern));
  }
  return texts;
}

TEST(ParsedCallTest, InputsAreQKVThenTheOthersAsTheyCame) {
  std::vector<TensorText> tensors = PaddedTokens();
  std::swap(tensors[0], tensors[2]);
  tensors.insert(tensors.begin(), {"sinks", kFp32, {4}});
  const ParsedCall call =
      ParseGood("modifiers { bias: 'b' sinks: 'sinks' }", tensors, {{"b", kFp32, {1, 1, 5, 5}}});
  std::vector<std::string> names;
  for (const InputTensor& input : call.inputs) names.push_back(input.name);
  EXPECT_THAT(names, ElementsAre("q", "k", "v", "sinks", "b"));
}

TEST(ParsedCallTest, MaskExpressionsAreOverTheCall) {
  const ParsedCall call = ParseGood(
      "mask { causal: true q_offset: 7 kv_offset: -3 expression { all_of {"
      "  args { packed { ids: 'ids' } } args { function { name: 'stripes' arguments: 2 } } } } }",
      PaddedTokens(), {{"ids", kInt32, {2, 40}}});
  ASSERT_NE(call.problem.expression, nullptr);
  EXPECT_EQ(call.problem.expression->spec().q_offset, 7);
  EXPECT_EQ(call.problem.expression->spec().kv_offset, -3);
  EXPECT_EQ(call.problem.expression->sizes().heads, 4);
  EXPECT_EQ(call.problem.expression->sizes().query_len, 5);
  EXPECT_NE(call.problem.expression->FindFunction("stripes"), nullptr);
  EXPECT_TRUE(call.problem.mask.spec().causal);
}

TEST(ParsedCallTest, ModifiersReachTheProblem) {
  const ParsedCall call =
      ParseGood("modifiers { softcap: 3 bias: 'b' alibi_slopes: 'a' sinks: 's' }", PaddedTokens(),
                {{"b", kFp32, {2, 4, 5, 5}}, {"a", kFp32, {4}}, {"s", v1::DATA_TYPE_BF16, {4}}});
  EXPECT_EQ(call.problem.modifiers.softcap, 3);
  EXPECT_EQ(call.problem.modifiers.bias, "b");
  EXPECT_EQ(call.problem.modifiers.alibi_slopes, "a");
  EXPECT_EQ(call.problem.modifiers.sinks, "s");
  EXPECT_FALSE(call.problem.stages.any());
}

TEST(ParsedCallTest, AttentionIsOverTheTokensInFrontOfThePadding) {
  const ParsedCall call =
      ParseGood("original_seq_len: 3 outputs { lse: true weights: true }", PaddedTokens());
  EXPECT_TRUE(call.problem.stages.trimmed);
  EXPECT_EQ(call.problem.query_len, 3);
  EXPECT_EQ(call.problem.key_len, 3);
  EXPECT_EQ(call.problem.mask.query_len(), 3);
  EXPECT_THAT(OutputTexts(call),
              ElementsAre("out [2, 4, 5, 6] b h s d", "lse [2, 4, 5]", "weights [2, 4, 3, 3]"));
}

TEST(ParsedCallTest, WithoutPaddingNothingIsTrimmed) {
  EXPECT_FALSE(ParseGood("", PaddedTokens()).problem.stages.trimmed);
  const ParsedCall whole = ParseGood("original_seq_len: 5", PaddedTokens());
  EXPECT_FALSE(whole.problem.stages.any());
  EXPECT_EQ(whole.problem.query_len, 5);
}

TEST(ParsedCallTest, ReplicatedTokensStandBehindTheOthers) {
  const ParsedCall call = ParseGood(
      "replicated { q: 'tq' k: 'tk' v: 'tv' } original_seq_len: 4 "
      "mask { k_lengths: [6, 5] expression { dense { mask: 'm' } } } "
      "outputs { lse: true weights: true }",
      PaddedTokens(),
      {{"tq", kFp32, {2, 3, 4, 8}, "b s n d"},
       {"tk", kFp32, {2, 2, 16}, "b s (h d)", 2},
       {"tv", kFp32, {2, 2, 2, 6}},
       {"m", v1::DATA_TYPE_BITS, {1, 1, 7, 6}}});
  const AttentionProblem& problem = call.problem;
  EXPECT_EQ(problem.query_len, 4 + 3);
  EXPECT_EQ(problem.key_len, 4 + 2);
  EXPECT_EQ(problem.stages.replicated.query_len, 3);
  EXPECT_EQ(problem.stages.replicated.key_len, 2);
  ASSERT_NE(problem.expression, nullptr);
  EXPECT_EQ(problem.expression->sizes().key_len, 6);
  EXPECT_THAT(OutputTexts(call), ElementsAre("out [2, 4, 5, 6] b h s d", "lse [2, 4, 5]",
                                             "replicated_out [2, 3, 4, 6] b s h d",
                                             "replicated_lse [2, 4, 3]", "weights [2, 4, 7, 6]"));
  const InputTensor& keys = FindTensor(call.inputs, "tk");
  EXPECT_THAT(keys.layout.shape(), ElementsAre(2, 2, 2, 8));
  EXPECT_EQ(keys.layout.strides[1], 8) << "heads lie within a token";
}

TEST(ParsedCallTest, OneTensorMayBeTheKeysAndTheValues) {
  const ParsedCall call = ParseGood(
      "replicated { q: 'tq' k: 'text' v: 'text' }",
      {{"q", kFp32, {2, 4, 5, 8}}, {"k", kFp32, {2, 2, 5, 8}}, {"v", kFp32, {2, 2, 5, 8}}},
      {{"tq", kFp32, {2, 4, 1, 8}}, {"text", kFp32, {2, 3, 2, 8}, "b s h d"}});
  EXPECT_THAT(FindTensor(call.inputs, "text").layout.shape(), ElementsAre(2, 2, 3, 8));
}

TEST(ParsedCallTest, AnAskedPatternIsThatOfBothOuts) {
  const ParsedCall call = ParseGood(
      "replicated { q: 'tq' k: 'tk' v: 'tv' } outputs { out_pattern: 'b s (h d)' }", PaddedTokens(),
      {{"tq", kFp32, {2, 4, 3, 8}}, {"tk", kFp32, {2, 2, 2, 8}}, {"tv", kFp32, {2, 2, 2, 6}}});
  EXPECT_THAT(OutputTexts(call),
              ElementsAre("out [2, 5, 24] b s (h d)", "replicated_out [2, 3, 24] b s (h d)"));
  EXPECT_EQ(call.outputs[1].heads, 4);
}

struct RotaryShape {
  const char* form;
  std::vector<int64_t> shape;
};

TEST(ParsedCallTest, RotaryTablesOfEveryShape) {
  for (const RotaryShape& good :
       {RotaryShape{"NEOX", {5, 4}}, RotaryShape{"NEOX", {9, 4}},
        RotaryShape{"INTERLEAVED", {1, 5, 4}}, RotaryShape{"INTERLEAVED", {2, 5, 4}},
        RotaryShape{"FULL", {2, 5, 8}}}) {
    const std::string fields = std::string("rotary { cos: 'c' sin: 's' form: ") + good.form + " }";
    const ParsedCall call =
        ParseGood(fields, PaddedTokens(), {{"c", kFp32, good.shape}, {"s", kFp32, good.shape}});
    EXPECT_TRUE(call.problem.stages.any()) << fields;
  }
}

// Rows are for tokens that are rotated: neither padding nor replicated ones.
TEST(ParsedCallTest, RotaryTablesReachTheTokensThatAreThere) {
  ParseGood(
      "rotary { form: NEOX cos: 'c' sin: 's' q_offset: 6 } original_seq_len: 3 "
      "replicated { q: 'tq' k: 'tk' v: 'tv' }",
      PaddedTokens(),
      {{"c", kFp32, {9, 4}},
       {"s", v1::DATA_TYPE_FP16, {9, 4}},
       {"tq", kFp32, {2, 4, 3, 8}},
       {"tk", kFp32, {2, 2, 2, 8}},
       {"tv", kFp32, {2, 2, 2, 6}}});
}

TEST(ParsedCallTest, SkippedScoresAndGates) {
  const ParsedCall call = ParseGood(
      "skip_scores { mode: GATED_VALUE sample_weights: 'w' } gate { form: SIGMOID tensor: 'g' }",
      PaddedTokens(), {{"w", kFp32, {2}}, {"g", v1::DATA_TYPE_BF16, {2, 5, 4}}});
  EXPECT_EQ(call.problem.stages.skip_scores.mode, SkipMode::kGatedValue);
  EXPECT_EQ(call.problem.stages.gate.form, GateForm::kSigmoid);
  EXPECT_TRUE(ParseGood("skip_scores { mode: VALUE }", PaddedTokens()).problem.stages.any());
  EXPECT_FALSE(ParseGood("skip_scores {}", PaddedTokens()).problem.stages.any());
}

TEST(ParsedCallTest, GatesCoverPaddingAndReplicatedTokens) {
  ParseGood(
      "gate { form: LINEAR tensor: 'g' } original_seq_len: 3 "
      "replicated { q: 'tq' k: 'tk' v: 'tv' }",
      PaddedTokens(),
      {{"g", kFp32, {2, 5 + 3, 4}},
       {"tq", kFp32, {2, 4, 3, 8}},
       {"tk", kFp32, {2, 2, 2, 8}},
       {"tv", kFp32, {2, 2, 2, 6}}});
}

TEST(ParsedCallTest, PackedSequencesHaveStagesToo) {
  const ParsedCall call = ParseGood(
      "mask { cu_seqlens_q: [0, 4, 10] cu_seqlens_k: [0, 4, 10] } "
      "skip_scores { mode: GATED_VALUE } gate { form: LINEAR tensor: 'g' } "
      "rotary { form: NEOX cos: 'c' sin: 's' }",
      PackedTokens(), {{"g", kFp32, {10, 4}}, {"c", kFp32, {10, 4}}, {"s", kFp32, {10, 4}}});
  EXPECT_EQ(call.problem.batch, 1);
  EXPECT_THAT(OutputTexts(call), ElementsAre("out [10, 4, 6] t h d"));
}

TEST(ParsedCallTest, AGridIsOfTheCallsOwnTokens) {
  const std::vector<TensorText> text = {
      {"tq", kFp32, {2, 4, 3, 8}}, {"tk", kFp32, {2, 2, 3, 8}}, {"tv", kFp32, {2, 2, 3, 6}}};
  const std::string fields = "replicated { q: 'tq' k: 'tk' v: 'tv' } metadata { grid ";
  EXPECT_TRUE(ParseText(fields + "{ t: 1 h: 1 w: 5 } }", PaddedTokens(), text).ok());
  EXPECT_FALSE(ParseText(fields + "{ t: 1 h: 1 w: 6 } }", PaddedTokens(), text).ok());
}

}  // namespace
}  // namespace attn
