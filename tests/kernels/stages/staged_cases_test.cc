// Every stage and their combinations, on every exact backend, against their definitions in fp64.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "client/golden/tensor_compare.h"
#include "tests/kernels/stages/staged_call.h"
#include "tests/support/run_inline.h"

namespace attn {
namespace {

CallShape Sent(int64_t batch, int64_t heads, int64_t kv_heads, int64_t tokens, int64_t dim) {
  CallShape shape;
  shape.batch = batch;
  shape.heads = heads;
  shape.kv_heads = kv_heads;
  shape.query_len = shape.key_len = tokens;
  shape.head_dim = dim;
  return shape;
}

StagedShape Rotated(const char* name, RotaryForm form) {
  StagedShape shape = {.name = name, .sent = Sent(2, 4, 2, 37, 24)};
  shape.rotary = form;
  shape.q_offset = 5;
  return shape;
}

StagedShape Skipping(const char* name, std::vector<float> weights) {
  StagedShape shape = {.name = name, .sent = Sent(3, 4, 2, 35, 16), .lse = false};
  shape.skip = SkipMode::kValue;
  shape.sample_weights = std::move(weights);
  return shape;
}

// All stages, strides with gaps, odd sizes, queries and keys of the text that differ.
StagedShape Everything(const char* name, DType dtype, DType out_dtype) {
  StagedShape shape = {.name = name, .sent = Sent(3, 4, 2, 41, 20), .lse = false};
  shape.sent.value_dim = 12;
  shape.sent.dtype = dtype;
  shape.sent.out_dtype = out_dtype;
  shape.sent.pattern = "b s (h d)";
  shape.sent.out_pattern = "b s h d";
  shape.original_seq_len = 38;
  shape.replicated_queries = 7;
  shape.replicated_keys = 7;
  shape.replicated_pattern = "b s h d";
  shape.rotary = RotaryForm::kNeox;
  shape.q_offset = 3;
  shape.k_offset = 1;
  shape.tables_per_sample = true;
  shape.skip = SkipMode::kGatedValue;
  shape.sample_weights = {0.25F, 0, 1};
  shape.gate = GateForm::kTwiceSigmoid;
  return shape;
}

std::vector<StagedShape> SkipCases() {
  std::vector<StagedShape> cases;
  cases.push_back(Skipping("skip_all", {}));
  cases.push_back(Skipping("skip_per_sample", {0, 1, 0}));
  cases.push_back(Skipping("skip_lerp", {0.5F, 1, 0.125F}));
  cases.push_back(Skipping("skip_lerp_bf16_weights", {0.5F, 0, 0.125F}));
  cases.back().beside = DType::kBFloat16;
  cases.push_back(Skipping("skip_fp16_out_fp32", {0, 0.75F, 1}));
  cases.back().sent.dtype = DType::kFloat16;
  cases.push_back(Skipping("skip_fp32_out_bf16", {0, 0.75F, 1}));
  cases.back().sent.out_dtype = DType::kBFloat16;
  cases.push_back(Skipping("skip_lengths", {1, 0, 1}));
  cases.back().sent.mask.k_lengths = {35, 3, 17};
  cases.push_back(Skipping("skip_trimmed", {0, 1, 0.5F}));
  cases.back().original_seq_len = 30;
  return cases;
}

std::vector<StagedShape> JoinCases() {
  std::vector<StagedShape> cases;
  cases.push_back({.name = "trimmed", .sent = Sent(2, 2, 2, 50, 16), .original_seq_len = 43});
  cases.push_back({.name = "trimmed_causal", .sent = Sent(1, 2, 1, 66, 16)});
  cases.back().original_seq_len = 65;
  cases.back().sent.mask.causal = true;
  cases.back().sent.padding = 3;
  cases.push_back({.name = "replicated", .sent = Sent(2, 4, 2, 33, 16)});
  cases.back().replicated_queries = 9;
  cases.back().replicated_keys = 4;
  cases.push_back({.name = "replicated_causal_bf16", .sent = Sent(1, 2, 2, 33, 16)});
  cases.back().replicated_queries = cases.back().replicated_keys = 5;
  cases.back().replicated_pattern = "b s h d";
  cases.back().sent.dtype = cases.back().sent.out_dtype = DType::kBFloat16;
  cases.back().sent.pattern = cases.back().sent.out_pattern = "b s h d";
  cases.back().sent.mask.causal = true;
  cases.push_back({.name = "replicated_trimmed_rotated", .sent = Sent(2, 2, 2, 76, 32)});
  cases.back().original_seq_len = 75;
  cases.back().replicated_queries = cases.back().replicated_keys = 6;
  cases.back().rotary = RotaryForm::kInterleaved;
  cases.push_back({.name = "cross_attention", .sent = Sent(2, 2, 1, 17, 16)});
  cases.back().sent.key_len = 90;
  cases.back().replicated_queries = 3;
  cases.back().replicated_keys = 11;
  return cases;
}

std::vector<StagedShape> Cases() {
  std::vector<StagedShape> cases = {Rotated("rotary_interleaved", RotaryForm::kInterleaved),
                                    Rotated("rotary_neox", RotaryForm::kNeox),
                                    Rotated("rotary_full", RotaryForm::kFull)};
  cases.push_back(Rotated("rotary_per_sample", RotaryForm::kNeox));
  cases.back().tables_per_sample = true;
  cases.back().k_offset = 2;
  cases.push_back(Rotated("rotary_decode", RotaryForm::kInterleaved));
  cases.back().sent.query_len = 1;
  cases.back().q_offset = 36;
  cases.back().beside = DType::kFloat16;
  cases.push_back(Rotated("rotary_packed", RotaryForm::kNeox));
  cases.back().sent.batch = 1;
  cases.back().sent.mask.cu_seqlens_q = {0, 10, 37};
  cases.back().sent.mask.cu_seqlens_k = {0, 12, 37};
  for (StagedShape& shape : JoinCases()) cases.push_back(std::move(shape));
  for (StagedShape& shape : SkipCases()) cases.push_back(std::move(shape));
  for (const GateForm form : {GateForm::kLinear, GateForm::kSigmoid, GateForm::kTwiceSigmoid}) {
    cases.push_back(
        {.name = "gate" + std::to_string(static_cast<int>(form)), .sent = Sent(2, 4, 4, 40, 16)});
    cases.back().gate = form;
    cases.back().sent.dtype = cases.back().sent.out_dtype = DType::kBFloat16;
  }
  cases.push_back({.name = "gate_packed", .sent = Sent(1, 2, 2, 30, 16)});
  cases.back().gate = GateForm::kLinear;
  cases.back().sent.mask.cu_seqlens_q = cases.back().sent.mask.cu_seqlens_k = {0, 30};
  cases.push_back(Everything("everything_fp32", DType::kFloat32, DType::kFloat32));
  cases.push_back(Everything("everything_bf16", DType::kBFloat16, DType::kBFloat16));
  cases.push_back(Everything("everything_fp16_out_bf16", DType::kFloat16, DType::kBFloat16));
  // More than one tile of each kind.
  cases.push_back({.name = "many_tiles", .sent = Sent(1, 2, 2, 300, 256)});
  cases.back().original_seq_len = 290;
  cases.back().rotary = RotaryForm::kFull;
  cases.back().gate = GateForm::kSigmoid;
  return cases;
}

class Stages : public testing::TestWithParam<StagedShape> {};

void ExpectNear(const std::vector<double>& actual, const std::vector<double>& expected,
                double rel_l2, const char* what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  EXPECT_LE(Compare(actual, expected).rel_l2, rel_l2) << what;
}

TEST_P(Stages, ComeToWhatTheirDefinitionSays) {
  const StagedShape& shape = GetParam();
  StagedCall staged(shape);
  const StagedExpectation expected = StagedOracle(staged, shape.sent);
  const bool wide = shape.sent.dtype == DType::kFloat32 && shape.sent.out_dtype == DType::kFloat32;
  // 16-bit inputs: weights rounded to bf16 by the engine, half an ulp of the output.
  const double rel_l2 = wide ? 3e-6 : 5e-3 + 0x1p-9;
  for (const std::unique_ptr<Backend>& backend : StagedBackends()) {
    SCOPED_TRACE(backend->info().name);
    const absl::StatusOr<RunResult> result = RunShuffled(*backend, staged.call(), 7);
    ASSERT_TRUE(result.ok()) << result.status();
    ExpectNear(staged.sent.out.Values(), expected.out, rel_l2, "out");
    EXPECT_TRUE(staged.sent.out.GapsAreUntouched());
    if (shape.lse) {
      const Difference lse = Compare(staged.sent.lse.Values(), expected.lse);
      EXPECT_LE(lse.max_abs, wide ? 1e-5 : 2e-3);
    }
    if (shape.replicated_queries == 0) continue;
    ExpectNear(staged.replicated_out.Values(), expected.replicated_out, rel_l2, "replicated_out");
    if (!shape.lse) continue;
    EXPECT_LE(Compare(staged.replicated_lse.Values(), expected.replicated_lse).max_abs,
              wide ? 1e-5 : 2e-3);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Stages, testing::ValuesIn(Cases()),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace attn
