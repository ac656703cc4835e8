// What holds of stages whatever the numbers are, bit for bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "kernels/core/float16.h"
#include "kernels/stages/staged_backend.h"
#include "tests/kernels/stages/staged_call.h"
#include "tests/support/run_inline.h"

namespace attn {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

class StageProperties : public testing::TestWithParam<DType> {
 protected:
  static StagedShape Shape() {
    StagedShape shape;
    shape.sent.batch = 2;
    shape.sent.heads = 4;
    shape.sent.kv_heads = 2;
    shape.sent.query_len = shape.sent.key_len = 45;
    shape.sent.dtype = shape.sent.out_dtype = GetParam();
    shape.lse = false;
    return shape;
  }

  static std::vector<std::byte> OutOf(const Backend& backend, StagedCall& staged) {
    const absl::StatusOr<RunResult> result = RunInline(backend, staged.call());
    EXPECT_TRUE(result.ok()) << result.status();
    return staged.sent.out.Bytes();
  }

  // The same call without and with stages that change nothing.
  static void ExpectSame(const StagedShape& shape, const auto& change) {
    for (const std::unique_ptr<Backend>& backend : StagedBackends()) {
      SCOPED_TRACE(backend->info().name);
      StagedCall plain(Shape());
      StagedCall staged(shape);
      change(staged);
      EXPECT_EQ(OutOf(*backend, staged), OutOf(*backend, plain));
    }
  }
};

INSTANTIATE_TEST_SUITE_P(DTypes, StageProperties,
                         testing::Values(DType::kFloat32, DType::kBFloat16, DType::kFloat16),
                         [](const auto& tested) { return std::string(Name(tested.param)); });

TEST_P(StageProperties, SkippingWithWeightsOfOneIsAttention) {
  StagedShape shape = Shape();
  shape.skip = SkipMode::kValue;
  shape.sample_weights = {1, 1};
  ExpectSame(shape, [](StagedCall&) {});
}

TEST_P(StageProperties, TrimmingToAllTokensIsNone) {
  StagedShape shape = Shape();
  shape.original_seq_len = shape.sent.query_len;
  ExpectSame(shape, [](StagedCall&) {});
}

TEST_P(StageProperties, RotationByNothingIsNone) {
  for (const RotaryForm form : {RotaryForm::kInterleaved, RotaryForm::kNeox, RotaryForm::kFull}) {
    StagedShape shape = Shape();
    shape.rotary = form;
    ExpectSame(shape, [](StagedCall& staged) {
      const MutableTensorView view = staged.cos.view();
      for (int64_t s = 0; s < view.dim(2); ++s) {
        for (int64_t c = 0; c < view.dim(3); ++c) {
          staged.cos.Set(0, 0, s, c, 1);
          staged.sin.Set(0, 0, s, c, 0);
        }
      }
    });
  }
}

TEST_P(StageProperties, ALinearGateOfOneIsNoneUpToRounding) {
  if (GetParam() != DType::kFloat32) GTEST_SKIP() << "the output is rounded at another place";
  StagedShape shape = Shape();
  shape.gate = GateForm::kLinear;
  ExpectSame(shape, [](StagedCall& staged) {
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t s = 0; s < 45; ++s) {
        for (int64_t h = 0; h < 4; ++h) staged.gate.Set(b, 0, s, h, 1);
      }
    }
  });
}

// Signalling NaN, quiet NaN with a payload, -0, a subnormal: no arithmetic keeps all of them.
TEST_P(StageProperties, ASkippedSampleIsItsValuesBitForBit) {
  StagedShape shape = Shape();
  shape.skip = SkipMode::kValue;
  shape.sample_weights = {0, 1};
  for (const std::unique_ptr<Backend>& backend : StagedBackends()) {
    SCOPED_TRACE(backend->info().name);
    StagedCall staged(shape);
    const MutableTensorView v = staged.sent.v.view();
    const size_t bytes = GetParam() == DType::kFloat32 ? 4 : 2;
    const uint32_t patterns[] = {0x7f812345, 0xffc54321, 0x80000000, 0x00010001, 0x7c017c01};
    for (size_t i = 0; i < 5; ++i) {  // Of (0, 0, 0), in the upper bits where there are 16.
      const uint32_t pattern = bytes == 4 ? patterns[i] : patterns[i] >> 16;
      std::memcpy(v.data + i * bytes, &pattern, bytes);
    }
    for (int64_t s = 0; s < 45; ++s) {
      for (int64_t h = 0; h < 4; ++h) staged.sent.q.Set(0, h, s, 3, kMissing);
      for (int64_t h = 0; h < 2; ++h) staged.sent.k.Set(0, h, s, 3, kMissing);
    }
    OutOf(*backend, staged);
    const MutableTensorView out = staged.sent.out.view();
    for (int64_t h = 0; h < 4; ++h) {
      for (int64_t s = 0; s < 45; ++s) {
        const auto at = [&](const MutableTensorView& view, int64_t head) {
          return view.data +
                 static_cast<size_t>(head * view.stride(1) + s * view.stride(2)) * bytes;
        };
        EXPECT_EQ(std::memcmp(at(out, h), at(v, h / 2), 32 * bytes), 0) << h << " " << s;
      }
    }
    for (int64_t s = 0; s < 45; ++s) EXPECT_FALSE(std::isnan(staged.sent.out.At(1, 0, s, 0)));
  }
}

TEST_P(StageProperties, NanOfASkippedSampleDoesNotReachAGatedOutput) {
  StagedShape shape = Shape();
  shape.skip = SkipMode::kGatedValue;
  shape.gate = GateForm::kTwiceSigmoid;
  shape.sample_weights = {0, 0.5F};
  for (const std::unique_ptr<Backend>& backend : StagedBackends()) {
    SCOPED_TRACE(backend->info().name);
    StagedCall staged(shape);
    for (int64_t s = 0; s < 45; ++s) staged.sent.k.Set(0, 0, s, 0, kMissing);
    OutOf(*backend, staged);
    for (const double value : staged.sent.out.Values()) ASSERT_FALSE(std::isnan(value));
  }
}

TEST_P(StageProperties, AGateRoundsOnce) {
  StagedShape shape = Shape();
  shape.gate = GateForm::kLinear;
  StagedShape plain_shape = Shape();
  plain_shape.sent.out_dtype = DType::kFloat32;
  for (const std::unique_ptr<Backend>& backend : StagedBackends()) {
    SCOPED_TRACE(backend->info().name);
    StagedCall plain(plain_shape);
    StagedCall gated(shape);
    OutOf(*backend, plain);
    OutOf(*backend, gated);
    OwnedTensor expected(GetParam(), "b h s d", 2, 4, 45, 32);
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t h = 0; h < 4; ++h) {
        for (int64_t s = 0; s < 45; ++s) {
          const auto factor = static_cast<float>(gated.gate.At(b, 0, s, h));
          for (int64_t d = 0; d < 32; ++d) {
            expected.Set(b, h, s, d, static_cast<float>(plain.sent.out.At(b, h, s, d)) * factor);
          }
        }
      }
    }
    EXPECT_EQ(gated.sent.out.Bytes(), expected.Bytes());
  }
}

TEST_P(StageProperties, AResultDoesNotDependOnTheOrderOfTiles) {
  StagedShape shape = Shape();
  shape.sent.query_len = shape.sent.key_len = 700;
  shape.sent.head_dim = 128;
  shape.rotary = RotaryForm::kNeox;
  shape.original_seq_len = 650;
  shape.replicated_queries = shape.replicated_keys = 30;
  shape.gate = GateForm::kSigmoid;
  const std::unique_ptr<Backend> flash = std::move(StagedBackends()[1]);
  StagedCall staged(shape);
  const std::vector<std::byte> in_order = OutOf(*flash, staged);
  for (const uint64_t seed : {1, 2}) {
    StagedCall again(shape);
    ASSERT_TRUE(RunShuffled(*flash, again.call(), seed).ok());
    EXPECT_EQ(again.sent.out.Bytes(), in_order);
    EXPECT_EQ(again.replicated_out.Bytes(), staged.replicated_out.Bytes());
  }
}

TEST(StagedSparsity, CountsSkippedSamplesAsDenseAndNotComputed) {
  struct Row {
    std::vector<float> weights;
    std::vector<int64_t> lengths;
    double sparsity;
  };
  const Row rows[] = {
      {{0, 0, 0, 0}, {}, 1},
      {{1, 1, 1, 1}, {}, 0},
      {{0, 1, 0.5F, 0}, {}, 0.5},
      {{0, 1, 0.5F, 0}, {10, 20, 10, 40}, 0.625},
  };
  for (const Row& row : rows) {
    StagedShape shape;
    shape.sent.batch = 4;
    shape.sent.mask.k_lengths = row.lengths;
    shape.lse = false;
    shape.skip = SkipMode::kValue;
    shape.sample_weights = row.weights;
    for (const std::unique_ptr<Backend>& backend : StagedBackends()) {
      StagedCall staged(shape);
      const absl::StatusOr<RunResult> result = RunInline(*backend, staged.call());
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_DOUBLE_EQ(result->stats.sparsity(), row.sparsity) << backend->info().name;
      EXPECT_EQ(result->stats.dense_elements, staged.call().problem.VisibleElements());
    }
  }
}

// What an expression hides of a skipped sample does not count either.
TEST(StagedSparsity, IsMeasuredUnderTheExpressionOfSkippedSamplesToo) {
  for (const std::string expression : {"causal", "packed", "far", "dense_of_heads"}) {
    for (const std::vector<float>& weights :
         {std::vector<float>{0, 1, 0}, std::vector<float>{0, 0, 0}}) {
      StagedShape shape;
      shape.sent.batch = 3;
      shape.sent.query_len = shape.sent.key_len = 130;
      shape.sent.expression = expression;
      shape.lse = false;
      shape.skip = SkipMode::kValue;
      shape.sample_weights = weights;
      for (const std::unique_ptr<Backend>& backend : StagedBackends()) {
        StagedCall skipped(shape);
        StagedCall plain(shape);
        plain.call().problem.stages = {};
        const absl::StatusOr<RunResult> result = RunInline(*backend, skipped.call());
        const absl::StatusOr<RunResult> of_all = RunInline(*backend, plain.call());
        ASSERT_TRUE(result.ok() && of_all.ok()) << result.status() << of_all.status();
        SCOPED_TRACE(backend->info().name + " " + expression);
        EXPECT_EQ(result->stats.dense_elements, of_all->stats.dense_elements);
        EXPECT_LT(result->stats.computed_elements, of_all->stats.computed_elements);
      }
    }
  }
}

// More keys than a tile of the count has.
TEST(StagedSparsity, CountsLongKeysStretchByStretch) {
  StagedShape shape;
  shape.sent.batch = 1;
  shape.sent.heads = shape.sent.kv_heads = 1;
  shape.sent.head_dim = 1;
  shape.sent.query_len = shape.sent.key_len = 66'000;
  shape.sent.expression = "causal";
  shape.lse = false;
  shape.skip = SkipMode::kValue;
  StagedCall staged(shape);
  const absl::StatusOr<RunResult> result = RunInline(*StagedBackends().front(), staged.call());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->stats.dense_elements, 66'000.0 * 66'001.0 / 2);
  EXPECT_EQ(result->stats.computed_elements, 0);
}

TEST(StagedWeights, AreOverAllTokensThatAttentionSees) {
  StagedShape shape;
  shape.sent.query_len = shape.sent.key_len = 20;
  shape.original_seq_len = 17;
  shape.replicated_queries = shape.replicated_keys = 5;
  const std::unique_ptr<Backend> eager = std::move(StagedBackends()[0]);
  StagedCall staged(shape);
  OwnedTensor weights(DType::kFloat32, "b h s d", 1, 2, 22, 22);
  staged.call().weights = weights.view();
  staged.call().problem.wanted.weights = true;
  ASSERT_TRUE(RunInline(*eager, staged.call()).ok());
  for (int64_t s = 0; s < 22; ++s) {
    double sum = 0;
    double out = 0;
    for (int64_t key = 0; key < 22; ++key) {
      const double weight = weights.At(0, 1, s, key);
      sum += weight;
      out += weight * (key < 17 ? staged.sent.v.At(0, 1, key, 4)
                                : staged.replicated_v.At(0, 1, key - 17, 4));
    }
    EXPECT_NEAR(sum, 1, 1e-6);
    EXPECT_NEAR(out,
                s < 17 ? staged.sent.out.At(0, 1, s, 4) : staged.replicated_out.At(0, 1, s - 17, 4),
                1e-5);
  }
}

}  // namespace
}  // namespace attn
