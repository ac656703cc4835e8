#include "server/services/selection_proto.h"

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/policy/policy_state.h"

namespace attn {
namespace {

namespace v1 = attention::v1;
using ::testing::Contains;

class ListedBackend final : public Backend {
 public:
  explicit ListedBackend(BackendInfo info) : info_(std::move(info)) {}

  const BackendInfo& info() const override { return info_; }
  int64_t WorkspaceBytes(const AttentionProblem& /*problem*/, const OptionMap&) const override {
    return 0;
  }
  absl::StatusOr<std::unique_ptr<Execution>> Prepare(const AttentionCall& /*call*/) const override {
    return absl::InternalError("computes nothing");
  }

 private:
  const BackendInfo info_;
};

class ListedFunction final : public MaskFunction {
 public:
  explicit ListedFunction(MaskFunctionInfo info) : info_(std::move(info)) {}

  const MaskFunctionInfo& info() const override { return info_; }
  absl::StatusOr<std::unique_ptr<BoundMaskFunction>> Bind(
      std::span<const double> /*arguments*/,
      std::span<const TensorView> /*tensors*/) const override {
    return absl::InternalError("binds nothing");
  }

 private:
  const MaskFunctionInfo info_;
};

TEST(ListBackendsProtoTest, SaysWhoBroughtWhat) {
  BackendInfo own;
  own.name = "naive";
  own.origin = "libnaive.so";
  own.description = "Three loops.";
  own.capabilities.features = {Feature::kExpression, Feature::kSkipScores};
  BackendInfo builtin;
  builtin.name = "flash";
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(std::make_unique<ListedBackend>(own));
  backends.push_back(std::make_unique<ListedBackend>(builtin));
  std::vector<std::unique_ptr<MaskFunction>> functions;
  functions.push_back(std::make_unique<ListedFunction>(
      MaskFunctionInfo{.name = "stripes", .origin = "libnaive.so", .description = "Of a width."}));
  const absl::StatusOr<Registry> registry =
      Registry::Create(std::move(backends), std::move(functions));
  ASSERT_TRUE(registry.ok()) << registry.status();

  v1::ListBackendsResponse response;
  ToProto(*registry, PolicySnapshot(), &response);
  ASSERT_GE(response.backends_size(), 2);
  for (const v1::Backend& backend : response.backends()) {
    if (backend.name() == "naive") {
      EXPECT_EQ(backend.origin(), "libnaive.so");
      EXPECT_EQ(backend.description(), "Three loops.");
      EXPECT_THAT(backend.features(), Contains("expression"));
      EXPECT_THAT(backend.features(), Contains("skip_scores"));
    }
    if (backend.name() == "flash") {
      EXPECT_EQ(backend.origin(), "builtin");
    }
  }
  ASSERT_EQ(response.mask_functions_size(), 1);
  EXPECT_EQ(response.mask_functions(0).name(), "stripes");
  EXPECT_EQ(response.mask_functions(0).origin(), "libnaive.so");
  EXPECT_EQ(response.mask_functions(0).description(), "Of a width.");
}

}  // namespace
}  // namespace attn
