// Mask functions of plug-ins: by themselves, and in an expression that is evaluated and planned.
#include "kernels/plugins/plugin_mask_function.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "kernels/builtin_backends.h"
#include "kernels/core/mask_expression.h"
#include "kernels/core/mask_planning.h"
#include "kernels/core/mask_program.h"
#include "kernels/plugins/plugin_library.h"
#include "tests/kernels/plugins/plugin_tables.h"
#include "tests/support/random_tensors.h"
#include "tests/support/run_inline.h"

namespace attn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(PluginMaskFunction, EvaluatesToZeroAndOne) {
  const attn_mask_function table = GoodMaskFunction();
  const auto function = CreatePluginMaskFunction(&table, "probe.so", nullptr).value();
  const std::vector<double> last = {4};
  const auto bound = function->Bind(last, {}).value();
  const std::vector<int64_t> keys = {-1, 3, 4, 5, INT64_MAX};
  std::vector<uint8_t> visible(5, 9);
  bound->Evaluate(0, 0, 0, keys, visible.data());
  EXPECT_THAT(visible, ElementsAre(1, 1, 1, 0, 0));
  EXPECT_EQ(bound->Extent(0, 0, 0, 1, 0, 1), MaskExtent::kSome);
}

TEST(PluginMaskFunction, RefusesArgumentsInItsOwnWords) {
  attn_mask_function table = GoodMaskFunction();
  const auto function = CreatePluginMaskFunction(&table, "probe.so", nullptr).value();
  const std::vector<double> two = {1, 2};
  const absl::Status status = function->Bind(two, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(status.message()), "up_to: 2 arguments, allowed: one");
  table.check = nullptr;
  const auto plain = CreatePluginMaskFunction(&table, "probe.so", nullptr).value();
  EXPECT_THAT(std::string(plain->Bind(two, {}).status().message()),
              HasSubstr("2 arguments and 0 tensors, allowed: none of either"));
}

attn_status BindCounts(void* self, const double*, size_t, const attn_tensor* tensors, size_t,
                       void**, char*, size_t) {
  ++*static_cast<int*>(self);
  EXPECT_NE(tensors[0].data, nullptr);
  return ATTN_OK;
}

TEST(PluginMaskFunction, IsBoundOnlyToTensorsThatHaveArrived) {
  int bound = 0;
  attn_mask_function table = GoodMaskFunction();
  table.self = &bound;
  table.bind = BindCounts;
  table.destroy = nullptr;
  const auto function = CreatePluginMaskFunction(&table, "probe.so", nullptr).value();
  const std::vector<double> last = {4};
  const OwnedTensor tensor(DType::kFloat32, "b h s d", 1, 1, 2, 2);
  TensorView view = tensor.const_view();
  const auto data = view.data;
  view.data = nullptr;
  EXPECT_TRUE(function->Bind(last, {&view, 1}).ok());
  EXPECT_EQ(bound, 0);
  view.data = data;
  EXPECT_TRUE(function->Bind(last, {&view, 1}).ok());
  EXPECT_EQ(bound, 1);
}

void EvaluateThrows(void*, const void*, int64_t, int64_t, int64_t, const int64_t*, size_t,
                    uint8_t* visible) {
  visible[0] = 1;
  throw std::runtime_error("no answer today");
}

attn_extent ExtentThrows(void*, const void*, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t) {
  throw 5;
}

TEST(PluginMaskFunction, WhatItThrowsHidesAndIsItsStatus) {
  const std::vector<double> last = {4};
  attn_mask_function table = GoodMaskFunction();
  table.evaluate = EvaluateThrows;
  const auto evaluating = CreatePluginMaskFunction(&table, "probe.so", nullptr).value();
  const auto bound = evaluating->Bind(last, {}).value();
  EXPECT_TRUE(bound->status().ok());
  const std::vector<int64_t> keys = {0, 1};
  for (int times = 0; times < 2; ++times) {
    std::vector<uint8_t> visible(2, 9);
    bound->Evaluate(0, 0, 0, keys, visible.data());
    EXPECT_THAT(visible, ElementsAre(0, 0));
  }
  EXPECT_EQ(bound->status(),
            absl::UnknownError("up_to (probe.so): evaluate threw no answer today"));

  table = GoodMaskFunction();
  table.extent = ExtentThrows;
  const auto judging = CreatePluginMaskFunction(&table, "probe.so", nullptr).value();
  const auto other = judging->Bind(last, {}).value();
  EXPECT_EQ(other->Extent(0, 0, 0, 1, 0, 1), MaskExtent::kSome);
  EXPECT_EQ(other->status(),
            absl::UnknownError("up_to (probe.so): extent threw what is no std::exception"));
}

// On every backend that takes expressions, a mask function that throws ends the call: not with
// wrong outputs, nor as a fault of the backend.
TEST(PluginMaskFunction, WhatItThrowsEndsTheCallOnAnyBackend) {
  attn_mask_function table = GoodMaskFunction();
  table.evaluate = EvaluateThrows;
  const auto function = CreatePluginMaskFunction(&table, "probe.so", nullptr).value();
  PluginLibrary library = LoadPlugin(ATTN_PLUGIN_EXAMPLE).value();
  const Registry registry = CreateBuiltinRegistry({}, {std::move(library.backends), {}}).value();
  for (const char* name : {"eager", "flash", "flex", "naive_c"}) {
    SCOPED_TRACE(name);
    OwnedCall call({.query_len = 40, .key_len = 70});
    MaskNode root = {mask_op::Not{{{mask_op::Function{"up_to", {3}, {}}}}}};
    call.call.problem.expression =
        MaskExpression::Create({std::move(root), 0, 0}, {1, 1, 40, 70}, {}, {function.get()})
            .value();
    const Backend* const backend = registry.Find(name);
    ASSERT_NE(backend, nullptr);
    EXPECT_EQ(RunInline(*backend, call.call).status(),
              absl::UnknownError("up_to (probe.so): evaluate threw no answer today"));
  }
}

// The example's function in an expression.
class DilatedTest : public ::testing::Test {
 protected:
  static MaskNode Dilated(double step) { return {mask_op::Function{"dilated", {step}, {}}}; }

  absl::StatusOr<std::shared_ptr<const MaskExpression>> Create(MaskNode root) const {
    return MaskExpression::Create({std::move(root), 0, 0}, sizes_, {},
                                  {library_.mask_functions[0].get()});
  }

  const PluginLibrary library_ = LoadPlugin(ATTN_PLUGIN_EXAMPLE).value();
  const MaskSizes sizes_ = {1, 2, 70, 130};
};

bool Sees(int64_t q, int64_t kv, int64_t step) { return kv <= q && (q - kv) % step == 0; }

TEST_F(DilatedTest, IsEvaluatedInAnExpression) {
  MaskNode padding = {mask_op::Prefix{3, ""}};
  MaskNode root = {mask_op::Any{{Dilated(4), padding}}};
  const auto expression = Create(std::move(root));
  ASSERT_TRUE(expression.ok()) << expression.status();
  const auto program = MaskProgram::Bind(**expression, {});
  ASSERT_TRUE(program.ok()) << program.status();
  std::vector<uint64_t> words(static_cast<size_t>(sizes_.query_len) * 3, ~uint64_t{0});
  program->Evaluate(0, 1, {0, sizes_.query_len}, {0, sizes_.key_len}, words.data(), 3);
  for (int64_t q = 0; q < sizes_.query_len; ++q) {
    for (int64_t kv = 0; kv < sizes_.key_len; ++kv) {
      const bool bit = (words[static_cast<size_t>(q * 3 + kv / 64)] >> (kv % 64)) & 1;
      ASSERT_EQ(bit, Sees(q, kv, 4) || kv < 3) << q << " " << kv;
    }
  }
}

TEST_F(DilatedTest, WrongArgumentsAreErrorsOfTheExpression) {
  for (const double step : {0.0, 2.5, -1.0, 1e300}) {
    const absl::Status status = Create(Dilated(step)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("allowed: an integer from 1 to 1073741824"));
  }
  const absl::Status unknown = Create({mask_op::Function{"dilatde", {2}, {}}}).status();
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("dilated"));
}

TEST_F(DilatedTest, IsPlannedToTheBlocksThatItVisits) {
  OwnedCall call({.heads = sizes_.heads,
                  .kv_heads = sizes_.heads,
                  .query_len = sizes_.query_len,
                  .key_len = sizes_.key_len});
  call.call.problem.expression = Create(Dilated(40)).value();
  const std::unique_ptr<Planning> planning =
      PlanMask(call.call, {.block_q = 16, .block_k = 16, .implicit_intervals = false});
  Scratch scratch;
  for (int phase = 0; phase < planning->phase_count(); ++phase) {
    for (int64_t tile = 0, tiles = planning->tiles(phase); tile < tiles; ++tile) {
      scratch.Reset();
      ASSERT_TRUE(planning->RunTile(phase, tile, scratch).ok());
    }
  }
  const absl::StatusOr<Plan> plan = planning->Take();
  ASSERT_TRUE(plan.ok()) << plan.status();
  const auto& blocks = std::get<BlockPlan>(*plan);
  EXPECT_EQ(blocks.heads, 1);  // It says that heads make no difference.
  for (int64_t block_q = 0; block_q < blocks.query_blocks(); ++block_q) {
    std::vector<bool> wanted(static_cast<size_t>(blocks.key_blocks()));
    for (int64_t q = block_q * 16; q < std::min<int64_t>(block_q * 16 + 16, 70); ++q) {
      for (int64_t kv = 0; kv < 130; ++kv) {
        if (Sees(q, kv, 40)) wanted[static_cast<size_t>(kv / 16)] = true;
      }
    }
    std::vector<bool> listed(wanted.size());
    const size_t row = static_cast<size_t>(block_q);
    for (int64_t entry = blocks.row_begin[row]; entry < blocks.row_begin[row + 1]; ++entry) {
      listed[static_cast<size_t>(blocks.entries[static_cast<size_t>(entry)].key_block)] = true;
    }
    EXPECT_EQ(listed, wanted) << block_q;
  }
}

}  // namespace
}  // namespace attn
