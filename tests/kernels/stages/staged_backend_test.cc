// What stages make of a backend: its capabilities, admission and errors.
#include "kernels/stages/staged_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "kernels/engines/reference/reference_backend.h"
#include "tests/kernels/stages/staged_call.h"
#include "tests/kernels/stages/watched_backend.h"
#include "tests/support/run_inline.h"

namespace attn {
namespace {

using testing::HasSubstr;

TEST(StagedBackend, AddsItsFeaturesButNotReplicated) {
  for (const bool replicated : {false, true}) {
    Watched watched = {.replicated = replicated};
    const std::unique_ptr<Backend> backend = StagedWatched(watched);
    for (const Feature feature :
         {Feature::kRotary, Feature::kOriginalSeqLen, Feature::kSkipScores, Feature::kGate}) {
      EXPECT_TRUE(backend->info().capabilities.Has(feature)) << Name(feature);
    }
    EXPECT_EQ(backend->info().capabilities.Has(Feature::kReplicated), replicated);
    EXPECT_EQ(backend->info().name, "eager");
    StagedShape shape = SmallShape();
    shape.replicated_queries = shape.replicated_keys = 2;
    const StagedCall staged(shape);
    const absl::Status supports = backend->Supports(staged.call().problem);
    EXPECT_EQ(supports.ok(), replicated) << supports;
    if (replicated) continue;
    EXPECT_EQ(supports.code(), absl::StatusCode::kUnimplemented);
    EXPECT_THAT(std::string(supports.message()), HasSubstr("eager: replicated not supported"));
  }
}

TEST(StagedBackend, RefusesWhatItsBackendRefuses) {
  Watched watched;
  const std::unique_ptr<Backend> backend = StagedWatched(watched);
  StagedShape shape = SmallShape();
  shape.rotary = RotaryForm::kNeox;
  StagedCall staged(shape);
  EXPECT_TRUE(backend->Supports(staged.call().problem).ok());
  EXPECT_TRUE(backend->Check(staged.call().problem, {}).ok());
  staged.call().problem.head_dim = 4096;
  EXPECT_EQ(backend->Supports(staged.call().problem).code(), absl::StatusCode::kUnimplemented);
}

TEST(StagedBackend, ACallWithoutStagesGoesThroughUntouched) {
  Watched watched;
  const std::unique_ptr<Backend> backend = StagedWatched(watched);
  StagedCall staged(SmallShape());
  ASSERT_TRUE(RunInline(*backend, staged.call()).ok());
  const auto execution = backend->Prepare(staged.call());
  EXPECT_EQ((*execution)->phase_count(),
            (*CreateReferenceBackend()->Prepare(staged.call()))->phase_count());
  EXPECT_EQ(backend->WorkspaceBytes(staged.call().problem, {}), 1000);
}

TEST(StagedBackend, ItsBackendSeesNoStagesAndTheLengthsOfAttention) {
  Watched watched;
  const std::unique_ptr<Backend> backend = StagedWatched(watched);
  StagedShape shape = SmallShape();
  shape.original_seq_len = 7;
  shape.replicated_queries = 3;
  shape.replicated_keys = 4;
  StagedCall staged(shape);
  ASSERT_TRUE(RunInline(*backend, staged.call()).ok());
  ASSERT_EQ(watched.prepared.size(), 1U);
  EXPECT_FALSE(watched.prepared[0].stages.any());
  EXPECT_EQ(watched.prepared[0].query_len, 10);
  EXPECT_EQ(watched.prepared[0].key_len, 11);
}

TEST(StagedBackend, NothingIsPreparedWhereEverySampleSkips) {
  Watched watched;
  const std::unique_ptr<Backend> backend = StagedWatched(watched);
  StagedShape shape = SmallShape();
  shape.skip = SkipMode::kValue;
  StagedCall staged(shape);
  const absl::StatusOr<RunResult> result = RunInline(*backend, staged.call());
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(watched.prepared.empty());
  EXPECT_EQ(result->stats.sparsity(), 1);
  EXPECT_FALSE(result->plan.has_value());
}

TEST(StagedBackend, DoesNothingToWhatIsAsWanted) {
  Watched watched;
  const std::unique_ptr<Backend> backend = StagedWatched(watched);
  StagedShape rotated_shape = SmallShape();
  rotated_shape.rotary = RotaryForm::kNeox;
  const StagedCall rotated(rotated_shape);
  StagedShape trimmed_shape = SmallShape();
  trimmed_shape.original_seq_len = 7;
  const StagedCall trimmed(trimmed_shape);
  // The output's phase, before the two that count what is skipped.
  const auto output_phase = [](Execution& execution) {
    return execution.phase(execution.phase_count() - 3);
  };
  const auto after_rotary = *backend->Prepare(rotated.call());
  EXPECT_GT(after_rotary->phase(0).tiles, 0);
  EXPECT_EQ(output_phase(*after_rotary).tiles, 0);
  const auto after_trimming = *backend->Prepare(trimmed.call());
  EXPECT_EQ(after_trimming->phase(0).tiles, 0);
  EXPECT_GT(output_phase(*after_trimming).tiles, 0);
  EXPECT_EQ(after_trimming->phase(after_trimming->phase_count() - 1).tiles, 0);
}

TEST(StagedBackend, OutputThatIsWorkedOnIsAskedForInFp32WhereThereIsSuch) {
  for (const bool fp32_out : {false, true}) {
    Watched watched = {.fp32_out = fp32_out};
    const std::unique_ptr<Backend> backend = StagedWatched(watched);
    StagedShape shape = SmallShape();
    shape.sent.dtype = shape.sent.out_dtype = DType::kBFloat16;
    shape.gate = GateForm::kLinear;
    StagedCall gated(shape);
    shape.gate = GateForm::kNone;
    shape.rotary = RotaryForm::kNeox;
    StagedCall rotated(shape);
    ASSERT_TRUE(RunInline(*backend, gated.call()).ok());
    ASSERT_TRUE(RunInline(*backend, rotated.call()).ok());
    EXPECT_EQ(watched.prepared[0].out_dtype, fp32_out ? DType::kFloat32 : DType::kBFloat16);
    EXPECT_EQ(watched.prepared[1].out_dtype, DType::kBFloat16);
  }
}

TEST(StagedBackend, NamesTheSampleWhoseWeightCannotBe) {
  struct Row {
    std::vector<float> weights;
    const char* message;
  };
  const Row rows[] = {
      {{0, 1.5F}, "skip_scores.sample_weights: the weight of sample 1 is 1.5, allowed: 0 to 1"},
      {{-0.25F, 1}, "sample 0 is -0.25"},
      {{1, std::numeric_limits<float>::quiet_NaN()}, "sample 1 is nan"},
      {{std::numeric_limits<float>::infinity(), 1}, "sample 0 is inf"},
  };
  Watched watched;
  const std::unique_ptr<Backend> backend = StagedWatched(watched);
  for (const Row& row : rows) {
    StagedShape shape = SmallShape();
    shape.skip = SkipMode::kValue;
    shape.sample_weights = row.weights;
    StagedCall staged(shape);
    const absl::Status status = RunInline(*backend, staged.call()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << row.message;
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.message));
  }
}

// Whatever the weights of the samples turn out to be.
TEST(StagedBackend, RefusesOutputsOfOneSoftmaxWhereScoresMayBeSkipped) {
  struct Row {
    const char* name;
    bool OutputsWanted::*output;
  };
  const Row rows[] = {{"lse", &OutputsWanted::lse},
                      {"weights", &OutputsWanted::weights},
                      {"plan", &OutputsWanted::plan}};
  Watched watched;
  const std::unique_ptr<Backend> backend = StagedWatched(watched);
  for (const Row& row : rows) {
    StagedShape shape = SmallShape();
    shape.skip = SkipMode::kValue;
    shape.sample_weights = {1, 1};
    StagedCall staged(shape);
    EXPECT_TRUE(backend->Check(staged.call().problem, {}).ok());
    staged.call().problem.wanted.*row.output = true;
    const absl::Status status = backend->Check(staged.call().problem, {});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << row.name;
    EXPECT_EQ(std::string(status.message()),
              std::string("outputs.") + row.name +
                  ": not allowed with skip_scores, whose output is not one softmax");
  }
}

TEST(StagedBackend, CountsItsCopiesAsWorkspace) {
  struct Row {
    const char* what;
    std::function<void(StagedShape&)> change;
    int64_t bytes;
  };
  // 2 samples, 2 heads, 10 tokens of 8 bf16 elements: 640 bytes a tensor.
  const Row rows[] = {
      {"trimming", [](StagedShape& shape) { shape.original_seq_len = 9; }, 0},
      {"rotary", [](StagedShape& shape) { shape.rotary = RotaryForm::kNeox; }, 2 * 640},
      {"replicated",
       [](StagedShape& shape) { shape.replicated_queries = shape.replicated_keys = 2; }, 4 * 768},
      {"replicated with lse",
       [](StagedShape& shape) {
         shape.replicated_queries = shape.replicated_keys = 2;
         shape.lse = true;
       },
       4 * 768 + 2 * 2 * 12 * 4},
      {"gate", [](StagedShape& shape) { shape.gate = GateForm::kSigmoid; }, 2 * 640},
      {"skip all", [](StagedShape& shape) { shape.skip = SkipMode::kValue; }, 0},
      {"skip some",
       [](StagedShape& shape) {
         shape.skip = SkipMode::kValue;
         shape.sample_weights = {0, 1};
       },
       2 * 640},
  };
  Watched watched;
  const std::unique_ptr<Backend> backend = StagedWatched(watched);
  for (const Row& row : rows) {
    StagedShape shape = SmallShape();
    shape.sent.dtype = shape.sent.out_dtype = DType::kBFloat16;
    row.change(shape);
    const StagedCall staged(shape);
    EXPECT_EQ(backend->WorkspaceBytes(staged.call().problem, {}), 1000 + row.bytes) << row.what;
  }
}

TEST(StagedBackend, WorkspaceSaturates) {
  Watched watched = {.workspace_bytes = std::numeric_limits<int64_t>::max() - 10};
  const std::unique_ptr<Backend> backend = StagedWatched(watched);
  StagedShape shape = SmallShape();
  shape.rotary = RotaryForm::kNeox;
  StagedCall staged(shape);
  EXPECT_EQ(backend->WorkspaceBytes(staged.call().problem, {}),
            std::numeric_limits<int64_t>::max());
  watched.workspace_bytes = 0;
  staged.call().problem.query_len = staged.call().problem.heads = int64_t{1} << 31;
  EXPECT_EQ(backend->WorkspaceBytes(staged.call().problem, {}),
            std::numeric_limits<int64_t>::max());
}

TEST(StagedBackend, SaysSoIfThereIsNoMemoryForACopy) {
  Watched watched;
  const std::unique_ptr<Backend> backend = StagedWatched(watched);
  StagedShape shape = SmallShape();
  shape.rotary = RotaryForm::kNeox;
  StagedCall staged(shape);
  staged.call().problem.query_len = kMaxBufferBytes;  // Of tokens, each of several bytes.
  EXPECT_EQ(backend->Prepare(staged.call()).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(watched.prepared.empty());
}

}  // namespace
}  // namespace attn
