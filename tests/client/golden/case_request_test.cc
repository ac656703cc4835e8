#include "client/cli/case_request.h"

#include <cstdint>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/core/float16.h"
#include "tests/client/golden/test_files.h"

namespace attn::cli {
namespace {

using attention::v1::AttendRequest;
using testing::ElementsAre;
using testing::HasSubstr;

// A case as written to a file and read back, and its request.
struct Made {
  explicit Made(const SmallCase& small, const OptionMap& changed = {},
                std::optional<DType> dtype = std::nullopt)
      : golden_case(*ReadGoldenCase(small.Write("case"))),
        call(MakeCaseRequest(golden_case, golden_case.prefixes.back(), changed, dtype)) {}

  const AttendRequest& request() const { return call->arguments.request; }
  const std::vector<ClientTensor>& tensors() const { return call->arguments.tensors; }

  GoldenCase golden_case;
  absl::StatusOr<CaseRequest> call;
};

SmallCase DenseCase(nlohmann::json options) {
  SmallCase small;
  small.json["backend"] = "dense";
  small.json["options"] = std::move(options);
  small.json["expected"].erase(2);
  return small;
}

TEST(CaseRequestTest, DenseCaseBecomesFieldsOfTheCall) {
  SmallCase small = DenseCase({{"scale", 1},
                               {"causal", true},
                               {"causal_alignment", "TOP_LEFT"},
                               {"window", {3, -1}},
                               {"k_lengths", "lengths"},
                               {"heads", 1},
                               {"kv_heads", 1},
                               {"k_pattern", "b n s d"},
                               {"out_pattern", "b s (n d)"},
                               {"grid", {2, 1, 2}},
                               {"timestep", 0},
                               {"layer", 7},
                               {"text_length", 0}});
  const std::vector<int32_t> lengths = {3};
  small.tensors["lengths"] = {DType::kInt32, {1}, AsBytes(lengths)};
  small.json["inputs"] = {"q", "k", "v", "lengths"};
  const Made made(small);
  ASSERT_TRUE(made.call.ok()) << made.call.status();
  const AttendRequest& request = made.request();
  EXPECT_EQ(request.backend(), "");
  EXPECT_EQ(request.scale(), 1.0);
  EXPECT_TRUE(request.mask().causal());
  EXPECT_EQ(request.mask().alignment(), attention::v1::Mask::TOP_LEFT);
  EXPECT_EQ(request.mask().window().left(), 3);
  EXPECT_EQ(request.mask().window().right(), -1);
  EXPECT_THAT(request.mask().k_lengths(), ElementsAre(3));
  EXPECT_EQ(request.outputs().out_pattern(), "b s (n d)");
  EXPECT_EQ(request.metadata().grid().t(), 2);
  EXPECT_EQ(request.metadata().grid().w(), 2);
  EXPECT_TRUE(request.metadata().has_timestep());
  EXPECT_EQ(request.metadata().layer(), 7);
  EXPECT_TRUE(request.options().empty());
  ASSERT_EQ(made.tensors().size(), 3U);  // The lengths went into the mask.
  EXPECT_EQ(made.tensors()[0].pattern, "b h s d");
  EXPECT_EQ(made.tensors()[1].pattern, "b n s d");
  EXPECT_EQ(made.tensors()[2].heads, 1);
}

TEST(CaseRequestTest, AlignmentIsLeftOutWhereThereIsNoDiagonal) {
  const Made made(DenseCase({{"causal", false}, {"causal_alignment", "BOTTOM_RIGHT"}}));
  ASSERT_TRUE(made.call.ok()) << made.call.status();
  EXPECT_EQ(made.request().mask().alignment(), attention::v1::Mask::ALIGNMENT_UNSPECIFIED);
}

// A case whose inputs are q, k, v and small fp32 tensors of these names.
SmallCase CaseWith(nlohmann::json options, const std::vector<std::string>& tensors) {
  static const std::vector<float> values(2, 0.5F);
  SmallCase small = DenseCase(std::move(options));
  for (const std::string& name : tensors) {
    small.tensors[name] = {DType::kFloat32, {2}, AsBytes(values)};
    small.json["inputs"].push_back(name);
  }
  return small;
}

std::vector<std::string> NamesOf(const Made& made) {
  std::vector<std::string> names;
  for (const ClientTensor& tensor : made.tensors()) names.push_back(tensor.name);
  return names;
}

TEST(CaseRequestTest, ScoreModifiersBecomeFieldsAndTheirTensorsTravelOnce) {
  const Made made(CaseWith(
      {{"softcap", 6}, {"bias", "b"}, {"alibi_slopes", "s"}, {"sinks", "s"}, {"q_offset", 0}},
      {"b", "s"}));
  ASSERT_TRUE(made.call.ok()) << made.call.status();
  EXPECT_EQ(made.request().modifiers().softcap(), 6.0);
  EXPECT_EQ(made.request().modifiers().bias(), "b");
  EXPECT_EQ(made.request().modifiers().alibi_slopes(), "s");
  EXPECT_EQ(made.request().modifiers().sinks(), "s");
  EXPECT_FALSE(made.request().mask().has_expression());
  EXPECT_THAT(NamesOf(made), ElementsAre("q", "k", "v", "b", "s"));
}

TEST(CaseRequestTest, WhatAsksForNothingIsLeftOut) {
  const Made made(DenseCase({{"softcap", 0.0},
                             {"rope", "none"},
                             {"skip_scores", "none"},
                             {"q_offset", 0},
                             {"original_seq_len", 0},
                             {"sinks", false}}));
  ASSERT_TRUE(made.call.ok()) << made.call.status();
  attention::v1::AttendRequest wanted;
  wanted.mutable_mask();
  wanted.mutable_metadata();
  wanted.mutable_outputs()->set_out_pattern("b h s d");
  EXPECT_EQ(made.request().DebugString(), wanted.DebugString());
}

const nlohmann::json kPackedOrPadded = {
    {"op", "or"},
    {"args", {{{"op", "packed"}, {"ids", "ids"}}, {{"op", "padding"}, {"mask", "keep"}}}}};

TEST(CaseRequestTest, MaskExpressionIsSentWithItsOffsetsAndTensors) {
  const Made made(CaseWith({{"mask_expr", kPackedOrPadded}, {"q_offset", 16}, {"kv_offset", -3}},
                           {"ids", "keep"}));
  ASSERT_TRUE(made.call.ok()) << made.call.status();
  const attention::v1::Mask& mask = made.request().mask();
  EXPECT_EQ(mask.q_offset(), 16);
  EXPECT_EQ(mask.kv_offset(), -3);
  ASSERT_EQ(mask.expression().any_of().args_size(), 2);
  EXPECT_EQ(mask.expression().any_of().args(0).packed().ids(), "ids");
  EXPECT_THAT(NamesOf(made), ElementsAre("q", "k", "v", "ids", "keep"));
}

TEST(CaseRequestTest, MaskTensorIsADenseExpressionWithoutOffsets) {
  const SmallCase small = CaseWith(
      {{"mask_expr", kPackedOrPadded}, {"mask", "m"}, {"q_offset", 16}}, {"ids", "keep", "m"});
  const GoldenCase golden_case = *ReadGoldenCase(small.Write("case"));
  EXPECT_TRUE(HasBothMaskForms(golden_case));
  const auto names = [](const CaseRequest& call) {
    std::vector<std::string> sent;
    for (const ClientTensor& tensor : call.arguments.tensors) sent.push_back(tensor.name);
    return sent;
  };
  const auto tensor = MakeCaseRequest(golden_case, "", {}, std::nullopt, MaskForm::kTensor);
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_EQ(tensor->arguments.request.mask().expression().dense().mask(), "m");
  EXPECT_EQ(tensor->arguments.request.mask().q_offset(), 0);
  EXPECT_THAT(names(*tensor), ElementsAre("q", "k", "v", "m"));
  const auto expression = MakeCaseRequest(golden_case, "", {}, std::nullopt);
  ASSERT_TRUE(expression.ok()) << expression.status();
  EXPECT_TRUE(expression->arguments.request.mask().expression().has_any_of());
  EXPECT_THAT(names(*expression), ElementsAre("q", "k", "v", "ids", "keep"));

  const Made alone(CaseWith({{"mask", "m"}}, {"m"}));
  ASSERT_TRUE(alone.call.ok()) << alone.call.status();
  EXPECT_EQ(alone.request().mask().expression().dense().mask(), "m");
}

TEST(CaseRequestTest, StagesBecomeFields) {
  SmallCase small = CaseWith({{"rope", "full"},
                              {"cos", "c"},
                              {"sin", "s"},
                              {"replicated_q", "q_text"},
                              {"replicated_k", "k_text"},
                              {"replicated_v", "k_text"},
                              {"original_seq_len", 4},
                              {"heads", 1},
                              {"k_pattern", "b n s d"}},
                             {"c", "s"});
  for (const char* name : {"q_text", "k_text"}) {
    small.tensors[name] = small.tensors["q"];
    small.json["inputs"].push_back(name);
  }
  const Made made(small, {}, DType::kFloat32);
  ASSERT_TRUE(made.call.ok()) << made.call.status();
  EXPECT_EQ(made.request().rotary().form(), attention::v1::Rotary::FULL);
  EXPECT_EQ(made.request().rotary().sin(), "s");
  EXPECT_EQ(made.request().replicated().q(), "q_text");
  EXPECT_EQ(made.request().replicated().v(), "k_text");
  EXPECT_EQ(made.request().original_seq_len(), 4);
  EXPECT_THAT(NamesOf(made), ElementsAre("q", "k", "v", "q_text", "k_text", "c", "s"));
  EXPECT_EQ(made.tensors()[3].pattern, "b h s d");
  EXPECT_EQ(made.tensors()[4].pattern, "b n s d");
  EXPECT_EQ(made.tensors()[4].heads, 1);
  EXPECT_EQ(made.tensors()[4].dtype, DType::kFloat32);
}

TEST(CaseRequestTest, SkippingIsAModeWithWeightsAndAGate) {
  using attention::v1::OutputGate;
  using attention::v1::SkipScores;
  const auto request = [](nlohmann::json options, const std::vector<std::string>& tensors) {
    const Made made(CaseWith(std::move(options), tensors));
    EXPECT_TRUE(made.call.ok()) << made.call.status();
    return made.call.ok() ? made.request() : AttendRequest();
  };
  EXPECT_EQ(request({{"skip_scores", "value"}}, {}).skip_scores().mode(), SkipScores::VALUE);

  const AttendRequest weighted =
      request({{"skip_scores", "per_sample"}, {"perturbation_mask", "w"}}, {"w"});
  EXPECT_EQ(weighted.skip_scores().mode(), SkipScores::VALUE);
  EXPECT_EQ(weighted.skip_scores().sample_weights(), "w");
  EXPECT_FALSE(weighted.has_gate());

  const nlohmann::json gated = {{"gate_logits", "g"}, {"gate_form", "2*sigmoid"}};
  nlohmann::json options = gated;
  options.update({{"skip_scores", "per_sample"}, {"perturbation_mask", "w"}});
  const AttendRequest both = request(options, {"g", "w"});
  EXPECT_EQ(both.skip_scores().mode(), SkipScores::GATED_VALUE);
  EXPECT_EQ(both.gate().form(), OutputGate::TWICE_SIGMOID);
  EXPECT_EQ(both.gate().tensor(), "g");

  options = gated;
  options["skip_scores"] = "none";
  const AttendRequest gate_alone = request(options, {"g"});
  EXPECT_FALSE(gate_alone.has_skip_scores());
  EXPECT_EQ(gate_alone.gate().tensor(), "g");
}

TEST(CaseRequestTest, PackedSequencesBecomeLists) {
  const GoldenCase packed = *ReadGoldenCase(GoldenFile("modifiers/varlen_causal_with_empty"));
  const absl::StatusOr<CaseRequest> call = MakeCaseRequest(packed, "", {}, std::nullopt);
  ASSERT_TRUE(call.ok()) << call.status();
  EXPECT_EQ(call->arguments.request.mask().cu_seqlens_q_size(), 6);
  EXPECT_EQ(call->arguments.request.mask().cu_seqlens_k_size(), 6);
  EXPECT_EQ(call->arguments.tensors.size(), 3U);
  EXPECT_EQ(call->arguments.tensors[0].pattern, "t h d");
}

TEST(CaseRequestTest, MethodOptionsAndTheirTensorsAreSent) {
  SmallCase small;
  const std::vector<float> gate(8, 1.0F);
  small.tensors["gate"] = {DType::kFloat32, {1, 1, 4, 2}, AsBytes(gate)};
  small.json["inputs"] = {"q", "k", "v", "gate"};
  small.json["options"] = {{"gate", "gate"},      {"sparsity", 0.5},  {"smooth_k", false},
                           {"windows", {{3, 1}}}, {"softcap", 0.0},   {"rope", "none"},
                           {"text_length", 2},    {"text_tokens", 3}, {"skip_scores", "none"}};
  const Made made(small, {{"sparsity", {0.75}}, {"upstream_quirks", {false}}});
  ASSERT_TRUE(made.call.ok()) << made.call.status();
  const auto& options = made.request().options();
  EXPECT_EQ(made.request().backend(), "vsa");
  EXPECT_EQ(options.size(), 7U);
  EXPECT_EQ(options.at("gate").tensor(), "gate");
  EXPECT_EQ(options.at("sparsity").double_value(), 0.75);
  EXPECT_FALSE(options.at("smooth_k").bool_value());
  EXPECT_TRUE(options.contains("upstream_quirks"));
  EXPECT_EQ(options.at("windows").list().values(0).list().values(1).int64_value(), 1);
  EXPECT_EQ(options.at("text_length").int64_value(), 2);
  EXPECT_EQ(options.at("text_tokens").int64_value(), 3);
  EXPECT_EQ(made.request().metadata().text_length(), 3);
  ASSERT_EQ(made.tensors().size(), 4U);
  EXPECT_EQ(made.tensors()[3].name, "gate");
  EXPECT_EQ(made.tensors()[3].pattern, "");
}

TEST(CaseRequestTest, PrefixChoosesTheTensors) {
  SmallCase small = DenseCase({{"k_lengths", "lengths"}});
  const std::vector<int64_t> lengths = {2};
  for (const char* name : {"q", "k", "v", "out", "lse"}) {
    small.tensors[std::string("layers.0.") + name] = small.tensors[name];
    small.tensors.erase(name);
  }
  small.tensors["lengths"] = {DType::kInt64, {1}, AsBytes(lengths)};
  small.json["inputs"].push_back("lengths");
  small.json["prefixes"] = {"layers.0."};
  const Made made(small);
  ASSERT_TRUE(made.call.ok()) << made.call.status();
  EXPECT_EQ(made.tensors()[1].name, "k");
  EXPECT_TRUE(std::ranges::equal(made.tensors()[1].data, AsBytes(small.k)));
  EXPECT_THAT(made.request().mask().k_lengths(), ElementsAre(2));
}

TEST(CaseRequestTest, FloatsAreWidenedAndOnlyThoseLikeQNarrowed) {
  SmallCase small;
  const std::vector<float> weight(4, 1.0F / 3.0F);
  const std::vector<int32_t> sample = {1};
  small.tensors["proj_weight"] = {DType::kFloat32, {2, 2}, AsBytes(weight)};
  small.tensors["sample_q"] = {DType::kInt32, {1}, AsBytes(sample)};
  small.json["inputs"] = {"q", "k", "v", "proj_weight", "sample_q"};
  small.json["options"] = {{"proj_weight", "proj_weight"}, {"sample_q", "sample_q"}};
  const auto dtypes = [&](std::optional<DType> dtype) {
    const Made made(small, {}, dtype);
    EXPECT_TRUE(made.call.ok()) << made.call.status();
    std::vector<DType> sent;
    for (const ClientTensor& tensor : made.tensors()) sent.push_back(tensor.dtype);
    return sent;
  };
  constexpr DType kF32 = DType::kFloat32;
  constexpr DType kF16 = DType::kFloat16;
  constexpr DType kBf16 = DType::kBFloat16;
  constexpr DType kI32 = DType::kInt32;
  EXPECT_THAT(dtypes(std::nullopt), ElementsAre(kBf16, kBf16, kBf16, kF32, kI32));
  EXPECT_THAT(dtypes(kF32), ElementsAre(kF32, kF32, kF32, kF32, kI32));
  EXPECT_THAT(dtypes(kF16), ElementsAre(kF16, kF16, kF16, kF32, kI32));

  const Made wide(small, {}, kF32);
  const auto* values = reinterpret_cast<const float*>(wide.tensors()[0].data.data());
  for (size_t i = 0; i < small.q.size(); ++i) {
    EXPECT_EQ(values[i], BFloat16ToFloat(small.q[i])) << i;
  }
}

struct Refused {
  const char* name;
  const char* backend;
  nlohmann::json options;
  absl::StatusCode code;
  const char* complaint;
};

class RefusedTest : public testing::TestWithParam<Refused> {};

TEST_P(RefusedTest, NamesTheOption) {
  SmallCase small = DenseCase(GetParam().options);
  small.json["backend"] = GetParam().backend;
  const Made made(small);
  EXPECT_EQ(made.call.status().code(), GetParam().code) << made.call.status();
  EXPECT_THAT(std::string(made.call.status().message()), HasSubstr(GetParam().complaint));
}

constexpr absl::StatusCode kUnsupported = absl::StatusCode::kUnimplemented;
constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
INSTANTIATE_TEST_SUITE_P(
    CaseRequestTest, RefusedTest,
    testing::Values(
        Refused{"DenseHasNoOptions", "dense", {{"topk", 0}}, kUnsupported, "topk"},
        Refused{"Several",
                "dense",
                {{"topk", 0}, {"gate_form", "sigmoid"}},
                kUnsupported,
                "gate_form, topk"},
        Refused{"SoftcapIsNoNumber", "dense", {{"softcap", "5"}}, kInvalid, "'softcap'"},
        Refused{"BiasIsNoTensor", "dense", {{"bias", "nowhere"}}, kInvalid, "'bias'"},
        Refused{"UnknownOperator", "flex", {{"mask_expr", {{"op", "casual"}}}}, kInvalid, "casual"},
        Refused{"UnknownRope", "vsa", {{"rope", "gptj"}}, kInvalid, "interleaved, neox, full"},
        Refused{"UnknownSkip", "dense", {{"skip_scores", "values"}}, kInvalid, "'values'"},
        Refused{"GateWithoutForm", "dense", {{"gate_logits", "v"}}, kInvalid, "2*sigmoid"},
        Refused{"MaskTensorThatDoesNotTravel",
                "flex",
                {{"mask_expr", {{"op", "packed"}, {"ids", "lse"}}}},
                kInvalid,
                "'lse'"},
        Refused{"CausalIsNoNumber", "dense", {{"causal", 1}}, kInvalid, "'causal'"},
        Refused{"UnknownAlignment", "dense", {{"causal_alignment", "LEFT"}}, kInvalid, "'LEFT'"},
        Refused{"WindowOfThree", "dense", {{"window", {1, 2, 3}}}, kInvalid, "'window'"},
        Refused{"ScaleIsNoNumber", "dense", {{"scale", "1"}}, kInvalid, "'scale'"},
        Refused{"LengthsAreNoList", "dense", {{"k_lengths", "q"}}, kInvalid, "'k_lengths'"},
        Refused{"LengthsAreNoTensor", "dense", {{"k_lengths", "none"}}, kInvalid, "'k_lengths'"},
        Refused{"TensorThatDoesNotTravel", "vsa", {{"gate", "out"}}, kInvalid, "'out'"}),
    [](const testing::TestParamInfo<Refused>& row) { return row.param.name; });

TEST(CaseRequestTest, InputThatNoOptionNamesIsRefused) {
  SmallCase small;
  small.json["inputs"] = {"q", "k", "v", "lse"};
  const Made made(small);
  EXPECT_EQ(made.call.status().code(), kInvalid);
  EXPECT_THAT(std::string(made.call.status().message()), HasSubstr("'lse'"));
}

TEST(CaseRequestTest, SequenceAxisOfAPattern) {
  EXPECT_EQ(SequenceAxis("b h s d"), 2);
  EXPECT_EQ(SequenceAxis("b s (n d)"), 1);
  EXPECT_EQ(SequenceAxis("(b h) s d"), 1);
  EXPECT_EQ(SequenceAxis("s b n d"), 0);
  EXPECT_EQ(SequenceAxis("t h d"), 0);
  EXPECT_EQ(SequenceAxis("b (s h) d"), -1);
}

}  // namespace
}  // namespace attn::cli
