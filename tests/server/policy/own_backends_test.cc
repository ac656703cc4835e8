// Backends from outside the tree are named by every rule, as ours are.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/policy/selection.h"
#include "tests/server/policy/fake_backend.h"
#include "tests/server/policy/selection_support.h"

namespace attn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Registry WithOwn() {
  return MakeRegistry({{.name = "flash", .cost_rank = 1},
                       {.name = "mine", .cost_rank = 5},
                       {.name = "guess", .cost_rank = 6, .exact = false}});
}

std::unique_ptr<PolicyState> StateOf(const Registry& registry, absl::string_view environment = "") {
  return PolicyState::Create(environment, nullptr, {}, absl::Now, OwnBackendNames(registry))
      .value();
}

TEST(OwnBackends, AreThoseThatHaveNoneOfOurNames) {
  EXPECT_THAT(OwnBackendNames(WithOwn()), ElementsAre("mine", "guess"));
  EXPECT_THAT(OwnBackendNames(Registry()), ElementsAre());
}

TEST(OwnBackends, ResolveWithoutRegardToCaseAndAfterOurs) {
  const std::vector<std::string> own = {"mine", "sdpa"};
  EXPECT_EQ(ResolveBackendName("MINE", own)->canonical, "mine");
  EXPECT_EQ(ResolveBackendName("sdpa", own)->canonical, "flash");
  const absl::Status unknown = ResolveBackendName("mien", own).status();
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("did you mean 'mine'?"));
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("flex, mine, sdpa and their names"));
  EXPECT_EQ(ResolveBackendName("mine").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(OwnBackends, AreChosenByEveryRule) {
  const Registry registry = WithOwn();
  const auto state = StateOf(registry);
  const auto decide = [&](const SelectionRequest& request) {
    return Outcome(Select(*state->Snapshot(), registry, request, MakeProblem()));
  };
  EXPECT_EQ(decide({}), "automatic:flash");
  EXPECT_EQ(decide({.backend = "mine"}), "call:mine");
  EXPECT_EQ(decide({.allowed_backends = {"mine"}}), "automatic:mine");
  EXPECT_EQ(decide({.allowed_backends = {"guess"}, .allow_approximate = true}), "automatic:guess");

  const auto scope = state->OpenScope(ScopeKind::kCalls, "mine", absl::ZeroDuration(), "test");
  ASSERT_TRUE(scope.ok()) << scope.status();
  EXPECT_EQ(decide({.scope_id = scope->id}), "scope:mine");
  ASSERT_TRUE(state->SetForced("Mine").ok());
  EXPECT_EQ(decide({}), "forced:mine");
  ASSERT_TRUE(state->ClearForced().ok());

  ModelPresets model;
  model.default_preset = "only";
  model.presets["only"] = {"only", "guess", "", {}};
  state->SetPresets(std::make_shared<const PresetTable>(
      std::map<std::string, ModelPresets, std::less<>>{{"m", model}}));
  EXPECT_EQ(decide({.model = "m"}), "preset:guess");

  const auto from_environment = StateOf(registry, "mine");
  EXPECT_EQ(Outcome(Select(*from_environment->Snapshot(), registry, {}, MakeProblem())),
            "environment:mine");
}

TEST(OwnBackends, AreQuarantinedAndReleased) {
  const Registry registry = WithOwn();
  const auto state = StateOf(registry);
  EXPECT_EQ(state->QuarantineBackend("MINE", "broken", false).value(), "mine");
  const auto refused =
      Select(*state->Snapshot(), registry, {.backend = "mine"}, MakeProblem()).status();
  EXPECT_THAT(std::string(refused.message()), HasSubstr("'mine' is quarantined: broken"));
  EXPECT_TRUE(state->ReleaseBackend("mine").ok());
}

TEST(OwnBackends, ProcessWideChoicesAreHeldAgainstTheRegistry) {
  EXPECT_TRUE(CheckInBuild("mine", WithOwn()).ok());
  EXPECT_THAT(std::string(CheckInBuild("mien", WithOwn()).message()), HasSubstr("'mine'"));
  EXPECT_FALSE(CheckInBuild("mine", StandardRegistry()).ok());
}

TEST(OwnBackends, AreUnknownToAServerWithoutThem) {
  const Registry registry = StandardRegistry();
  const auto status =
      Select(PolicySnapshot(), registry, {.backend = "mine"}, MakeProblem()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace attn
