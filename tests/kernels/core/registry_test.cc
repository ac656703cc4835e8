#include "kernels/core/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/kernels/core/fake_backend.h"

namespace attn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::unique_ptr<Backend>> Backends(
    const std::vector<std::pair<std::string, int>>& names_and_ranks) {
  std::vector<std::unique_ptr<Backend>> backends;
  backends.reserve(names_and_ranks.size());
  for (const auto& [name, rank] : names_and_ranks) {
    backends.push_back(std::make_unique<FakeBackend>(name, rank));
  }
  return backends;
}

TEST(Registry, OrdersByCostThenName) {
  const auto registry =
      Registry::Create(Backends({{"slow", 9}, {"zeta", 1}, {"alpha", 1}, {"fast", 0}}));
  ASSERT_TRUE(registry.ok());
  std::vector<std::string> names;
  for (const Backend* backend : registry->backends()) names.push_back(backend->info().name);
  EXPECT_THAT(names, ElementsAre("fast", "alpha", "zeta", "slow"));
}

TEST(Registry, FindsExactNamesOnly) {
  const auto registry = Registry::Create(Backends({{"flash", 0}, {"eager", 1}}));
  ASSERT_TRUE(registry.ok());
  ASSERT_NE(registry->Find("eager"), nullptr);
  EXPECT_EQ(registry->Find("eager")->info().name, "eager");
  EXPECT_EQ(registry->Find("Eager"), nullptr);
  EXPECT_EQ(registry->Find(""), nullptr);
}

TEST(Registry, KeepsItsBackendsWhenMoved) {
  auto registry = Registry::Create(Backends({{"flash", 0}}));
  ASSERT_TRUE(registry.ok());
  const Backend* const flash = registry->Find("flash");
  const Registry moved = *std::move(registry);
  EXPECT_EQ(moved.Find("flash"), flash);
  EXPECT_EQ(moved.backends().size(), 1);
}

TEST(Registry, RefusesTwiceTheSameNameAndNull) {
  const auto twice = Registry::Create(Backends({{"flash", 0}, {"eager", 1}, {"flash", 2}}));
  EXPECT_EQ(twice.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(twice.status().message()), HasSubstr("two backends are named 'flash'"));

  std::vector<std::unique_ptr<Backend>> with_null(1);
  EXPECT_EQ(Registry::Create(std::move(with_null)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

class NamedFunction final : public MaskFunction {
 public:
  explicit NamedFunction(std::string name) { info_.name = std::move(name); }

  const MaskFunctionInfo& info() const override { return info_; }
  absl::StatusOr<std::unique_ptr<BoundMaskFunction>> Bind(
      std::span<const double>, std::span<const TensorView>) const override {
    return absl::UnimplementedError("of the test");
  }

 private:
  MaskFunctionInfo info_;
};

std::vector<std::unique_ptr<MaskFunction>> Functions(const std::vector<std::string>& names) {
  std::vector<std::unique_ptr<MaskFunction>> functions;
  functions.reserve(names.size());
  for (const std::string& name : names) functions.push_back(std::make_unique<NamedFunction>(name));
  return functions;
}

TEST(Registry, MaskFunctionsAreInTheOrderOfTheirNames) {
  const auto registry = Registry::Create({}, Functions({"tiled", "dilated", "spiral"}));
  ASSERT_TRUE(registry.ok()) << registry.status();
  std::vector<std::string> names;
  for (const MaskFunction* function : registry->mask_functions()) {
    names.push_back(function->info().name);
  }
  EXPECT_THAT(names, ElementsAre("dilated", "spiral", "tiled"));
}

TEST(Registry, RefusesMaskFunctionsTwiceAndNull) {
  const auto twice = Registry::Create({}, Functions({"a", "b", "a"}));
  EXPECT_EQ(twice.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(twice.status().message()), HasSubstr("two mask functions are named 'a'"));
  std::vector<std::unique_ptr<MaskFunction>> with_null(1);
  EXPECT_EQ(Registry::Create({}, std::move(with_null)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace attn
