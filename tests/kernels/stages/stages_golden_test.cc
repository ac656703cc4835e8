// Skipped scores, gates, rotary embedding and replicated tokens against what diffusers and
// FastVideo answered, through whole calls.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <numeric>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "client/golden/golden_case.h"
#include "client/golden/tensor_compare.h"
#include "tests/kernels/stages/staged_call.h"
#include "tests/support/golden_files.h"
#include "tests/support/run_inline.h"

namespace attn {
namespace {

std::string Text(const GoldenCase& golden, const char* option) {
  const auto found = golden.options.find(option);
  return found == golden.options.end() ? "" : std::get<std::string>(found->second.value);
}

std::string TensorOption(const GoldenCase& golden, const char* option) {
  const auto found = golden.options.find(option);
  return found == golden.options.end() ? "" : std::get<TensorName>(found->second.value).name;
}

// A tensor of the file in its own order of elements; `b s h d` of the file is b, h, s, d of `to`.
void FillFrom(const GoldenCase& golden, const std::string& name, OwnedTensor& to) {
  const FileTensor* tensor = golden.file.Find(name);
  ASSERT_NE(tensor, nullptr) << name;
  const std::vector<double> values = *ToDoubles(*tensor);
  const MutableTensorView view = to.view();
  ASSERT_EQ(static_cast<int64_t>(values.size()), view.layout.element_count()) << name;
  size_t i = 0;
  for (int64_t b = 0; b < view.dim(0); ++b) {
    for (int64_t s = 0; s < view.dim(2); ++s) {
      for (int64_t h = 0; h < view.dim(1); ++h) {
        for (int64_t d = 0; d < view.dim(3); ++d) to.Set(b, h, s, d, values[i++]);
      }
    }
  }
}

std::vector<double> InFileOrder(const OwnedTensor& tensor) {
  const MutableTensorView view = tensor.view();
  std::vector<double> values;
  for (int64_t b = 0; b < view.dim(0); ++b) {
    for (int64_t s = 0; s < view.dim(2); ++s) {
      for (int64_t h = 0; h < view.dim(1); ++h) {
        for (int64_t d = 0; d < view.dim(3); ++d) values.push_back(tensor.At(b, h, s, d));
      }
    }
  }
  return values;
}

StagedShape ShapeOf(const GoldenCase& golden, DType dtype) {
  const std::vector<int64_t>& q = golden.file.Find("q")->shape;
  StagedShape shape;
  shape.sent.batch = q[0];
  shape.sent.query_len = q[1];
  shape.sent.key_len = golden.file.Find("k")->shape[1];
  shape.sent.heads = q[2];
  shape.sent.kv_heads = golden.file.Find("k")->shape[2];
  shape.sent.head_dim = q[3];
  shape.sent.dtype = shape.sent.out_dtype = dtype;
  shape.sent.scale = std::get<double>(golden.options.find("scale")->second.value);
  shape.lse = false;
  shape.original_seq_len = IntOption(golden.options, "original_seq_len", 0);
  const std::string rope = Text(golden, "rope");
  if (rope == "interleaved") shape.rotary = RotaryForm::kInterleaved;
  if (rope == "neox") shape.rotary = RotaryForm::kNeox;
  if (rope == "full") shape.rotary = RotaryForm::kFull;
  if (const std::string text = TensorOption(golden, "replicated_q"); !text.empty()) {
    shape.replicated_queries = golden.file.Find(text)->shape[1];
    shape.replicated_keys = shape.replicated_queries;
  }
  const std::string skip = Text(golden, "skip_scores");
  if (skip == "value" || skip == "per_sample") shape.skip = SkipMode::kValue;
  if (!TensorOption(golden, "gate_logits").empty()) {
    shape.gate = GateForm::kTwiceSigmoid;
    if (shape.skip == SkipMode::kValue || skip == "gated_value") {
      shape.skip = SkipMode::kGatedValue;
    }
  }
  if (skip == "per_sample") {
    const auto weights = *ToDoubles(*golden.file.Find(TensorOption(golden, "perturbation_mask")));
    shape.sample_weights.assign(weights.begin(), weights.end());
  }
  return shape;
}

void FillCall(const GoldenCase& golden, const StagedShape& shape, StagedCall& staged) {
  FillFrom(golden, "q", staged.sent.q);
  FillFrom(golden, "k", staged.sent.k);
  FillFrom(golden, "v", staged.sent.v);
  if (shape.rotary != RotaryForm::kNone) {
    FillFrom(golden, TensorOption(golden, "cos"), staged.cos);
    FillFrom(golden, TensorOption(golden, "sin"), staged.sin);
  }
  if (shape.replicated_queries > 0) {
    FillFrom(golden, TensorOption(golden, "replicated_q"), staged.replicated_q);
    FillFrom(golden, TensorOption(golden, "replicated_k"), staged.replicated_k);
    FillFrom(golden, TensorOption(golden, "replicated_v"), staged.replicated_v);
  }
  if (shape.gate != GateForm::kNone) {
    FillFrom(golden, TensorOption(golden, "gate_logits"), staged.gate);
  }
  if (const std::string bias = TensorOption(golden, "bias"); !bias.empty()) {
    const std::vector<int64_t>& dims = golden.file.Find(bias)->shape;
    staged.bias = OwnedTensor(DType::kFloat32, "b s h d", dims[0], dims[2], dims[1], dims[3]);
    FillFrom(golden, bias, staged.bias);
    TensorView view = staged.bias.const_view();
    view.layout = TensorLayout::Contiguous(dims);
    staged.call().extra["bias"] = view;
    staged.call().problem.modifiers.bias = "bias";
  }
}

// A linear layer of the module around attention, on tokens [first, first + count) of [B, S, H, D].
struct Projection {
  const char* weight;  // [to, H * D]
  const char* bias;    // [to]
  const char* expected;
  int64_t first;
  int64_t count;
};

std::vector<double> Project(const GoldenCase& golden, const Projection& layer,
                            const std::vector<double>& out) {
  const std::vector<int64_t>& dims = golden.file.Find("out")->shape;
  const std::vector<double> weight = *ToDoubles(*golden.file.Find(layer.weight));
  const std::vector<double> bias = *ToDoubles(*golden.file.Find(layer.bias));
  const auto width = static_cast<size_t>(dims[2] * dims[3]);
  std::vector<double> projected;
  for (int64_t b = 0; b < dims[0]; ++b) {
    for (int64_t s = layer.first; s < layer.first + layer.count; ++s) {
      const double* token = out.data() + static_cast<size_t>(b * dims[1] + s) * width;
      for (size_t to = 0; to < bias.size(); ++to) {
        projected.push_back(
            std::inner_product(token, token + width, weight.data() + to * width, bias[to]));
      }
    }
  }
  return projected;
}

// What the client's module makes of the output, where the case says.
void ExpectModuleOutput(const GoldenCase& golden, const std::vector<double>& out, double rel_l2) {
  if (golden.file.Find("module_out") == nullptr) return;
  const int64_t tokens = golden.file.Find("out")->shape[1];
  std::vector<Projection> layers;
  int64_t text = 0;  // Tokens with a layer of their own, first.
  if (const FileTensor* module_text = golden.file.Find("module_out_text")) {
    text = module_text->shape[1];
    layers.push_back({"to_add_out_weight", "to_add_out_bias", "module_out_text", 0, text});
  }
  layers.push_back({"to_out_weight", "to_out_bias", "module_out", text, tokens - text});
  for (const Projection& layer : layers) {
    const std::vector<double> expected = *ToDoubles(*golden.file.Find(layer.expected));
    const std::vector<double> actual = Project(golden, layer, out);
    ASSERT_EQ(actual.size(), expected.size()) << layer.expected;
    EXPECT_LE(Compare(actual, expected).rel_l2, rel_l2) << layer.expected;
  }
}

void RunAndCompareOn(const Backend& backend, const GoldenCase& golden, DType dtype) {
  SCOPED_TRACE(backend.info().name + " " + std::string(Name(dtype)));
  const StagedShape shape = ShapeOf(golden, dtype);
  StagedCall staged(shape);
  FillCall(golden, shape, staged);
  const absl::StatusOr<RunResult> result = RunInline(backend, staged.call());
  ASSERT_TRUE(result.ok()) << result.status();
  for (const Expectation& expectation : golden.expected) {
    if (expectation.output == "lse") continue;
    const bool replicated = expectation.output == "replicated_out";
    const std::vector<double> actual =
        InFileOrder(replicated ? staged.replicated_out : staged.sent.out);
    std::vector<double> expected = *ToDoubles(*golden.file.Find(expectation.tensor));
    if (expectation.rows.has_value()) {
      const std::vector<int64_t>& dims = golden.file.Find(expectation.tensor)->shape;
      ASSERT_EQ(dims[0], 1);  // Else the rows that count are no prefix.
      expected.resize(static_cast<size_t>(*expectation.rows * dims[2] * dims[3]));
    }
    ASSERT_EQ(actual.size(), expected.size());
    const Difference difference = Compare(actual, expected);
    const bool wide = dtype == DType::kFloat32;
    const double allowed = shape.rotary == RotaryForm::kNone ? 5e-3 + 0x1p-9 : 1.2e-2;
    EXPECT_LE(difference.rel_l2, *expectation.rel_l2 + (wide ? 0 : allowed));
    if (wide) {
      EXPECT_LE(difference.max_abs, *expectation.max_abs);
    }
    if (wide && expectation.output == "out") {
      ExpectModuleOutput(golden, actual, *expectation.rel_l2);
    }
  }
}

std::vector<std::string> CallFiles() {
  std::vector<std::string> files;
  for (const std::string& path : GoldenFiles(ATTN_SOURCE_DIR)) {
    const std::string name = GoldenName(path);
    if (absl::StartsWith(name, "skip/") || absl::StartsWith(name, "distributed/")) {
      files.push_back(path);
    }
  }
  return files;
}

class StagesGolden : public testing::TestWithParam<std::string> {};

TEST_P(StagesGolden, EveryExactBackendAgrees) {
  const absl::StatusOr<GoldenCase> golden = ReadGoldenCase(GetParam());
  ASSERT_TRUE(golden.ok()) << golden.status();
  if (golden->kind != "call") GTEST_SKIP() << "its kind is " << golden->kind;
  if (golden->backend != "dense") GTEST_SKIP() << "its backend is " << golden->backend;
  for (const std::unique_ptr<Backend>& backend : StagedBackends()) {
    RunAndCompareOn(*backend, *golden, DType::kFloat32);
    if (golden->file.Find("q")->dtype == DType::kBFloat16) {
      RunAndCompareOn(*backend, *golden, DType::kBFloat16);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Files, StagesGolden, testing::ValuesIn(CallFiles()),
                         [](const auto& tested) {
                           std::string name = GoldenName(tested.param);
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !std::isalnum(c); },
                               '_');
                           return name;
                         });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(StagesGolden);

// Where lengths differ upstream skips nothing and says nothing; the server refuses the call
// (refused_golden_test.cc), and what upstream gives is plain attention.
TEST(SkipOfOtherLengths, IsPlainAttentionUpstream) {
  const std::string path = FindGoldenFile(ATTN_SOURCE_DIR, "skip/hook_len_mismatch_upstream");
  if (path.empty()) GTEST_SKIP() << "no golden case skip/hook_len_mismatch_upstream";
  absl::StatusOr<GoldenCase> golden = ReadGoldenCase(path);
  ASSERT_TRUE(golden.ok()) << golden.status();
  golden->options.erase("skip_scores");
  Expectation out;
  out.output = out.tensor = "out";
  out.rel_l2 = 1e-5;
  out.max_abs = 8e-5;
  golden->expected = {out};
  for (const std::unique_ptr<Backend>& backend : StagedBackends()) {
    RunAndCompareOn(*backend, *golden, DType::kFloat32);
  }
}

}  // namespace
}  // namespace attn
