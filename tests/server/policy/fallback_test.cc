// allow_fallback: the next rule decides, and the answer says why.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/policy/selection.h"
#include "tests/server/policy/fake_backend.h"
#include "tests/server/policy/selection_support.h"

namespace attn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// `backend / rule / reason` of each refusal.
std::vector<std::string> Refusals(const absl::StatusOr<Selection>& selection) {
  std::vector<std::string> lines;
  for (const Refusal& refusal : selection->refused) {
    lines.push_back(
        absl::StrCat(refusal.backend, " / ", Name(refusal.rule), " / ", refusal.reason));
  }
  return lines;
}

class FallbackTest : public testing::Test {
 protected:
  absl::StatusOr<Selection> Select(SelectionRequest request, int64_t head_dim = 64) const {
    request.allow_fallback = true;
    return attn::Select(policy_, registry_, request, MakeProblem(head_dim));
  }

  const Registry registry_ = StandardRegistry();
  PolicySnapshot policy_;
};

TEST_F(FallbackTest, NextRuleDecidesAndEveryRefusalIsTold) {
  policy_.scopes = {{.id = "s",
                     .kind = ScopeKind::kProcess,
                     .requested = "VMOBA_ATTN",
                     .backend = Named("VMOBA_ATTN").backend}};
  policy_.forced = Named("sage");
  policy_.quarantined["sage"] = {"wrong images", false};
  policy_.environment = Named("TORCH_SDPA");
  const auto selection = Select({.backend = "NO_ATTENTION"});
  ASSERT_TRUE(selection.ok()) << selection.status();
  EXPECT_EQ(selection->backend->info().name, "flash");
  EXPECT_EQ(selection->rule, Rule::kEnvironment);
  EXPECT_EQ(selection->requested, "TORCH_SDPA");
  EXPECT_THAT(
      Refusals(selection),
      ElementsAre("vmoba / scope / 'vmoba' is not in this build",
                  "sage / forced / 'sage' is quarantined: wrong images",
                  testing::StartsWith("NO_ATTENTION / call / 'NO_ATTENTION' is known but")));
}

TEST_F(FallbackTest, AutomaticSelectionIsTheLastResort) {
  const auto selection = Select({.backend = "nabla"});
  EXPECT_EQ(selection->backend->info().name, "flash");
  EXPECT_EQ(selection->rule, Rule::kAutomatic);
  EXPECT_EQ(selection->requested, "");
}

TEST_F(FallbackTest, RuleThatNamesAutoEndsIt) {
  policy_.environment = Named("auto");
  const auto selection = Select({.backend = "flash", .model = ""}, 512);
  EXPECT_EQ(selection->backend->info().name, "eager");
  EXPECT_EQ(selection->rule, Rule::kEnvironment);
  EXPECT_THAT(Refusals(selection),
              ElementsAre("flash / call / flash: head_dim 512 not supported, supported: 1 to 256",
                          testing::StartsWith("sage / automatic / approximate"),
                          testing::StartsWith("psa / automatic / approximate")));
}

TEST_F(FallbackTest, NothingLeftListsEveryReasonOnce) {
  policy_.environment = Named("eager");
  const auto selection = Select({.backend = "nabla"}, 1024);
  EXPECT_EQ(selection.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(Message(selection),
            "no backend can serve this call: 'nabla' is not in this build; "
            "eager: head_dim 1024 not supported, supported: 1 to 512; "
            "flash: head_dim 1024 not supported, supported: 1 to 256; "
            "sage: approximate; the call does not set allow_approximate; "
            "psa: approximate; the call does not set allow_approximate");
}

TEST_F(FallbackTest, AllowedBackendsRestrictWhatItMayUse) {
  policy_.environment = Named("flash");
  const auto selection = Select({.backend = "nabla", .allowed_backends = {"eager"}});
  EXPECT_EQ(selection->backend->info().name, "eager");
  EXPECT_THAT(Refusals(selection),
              ElementsAre(testing::StartsWith("nabla / call / "),
                          "flash / environment / a fallback, and not among the call's "
                          "allowed_backends",
                          testing::StartsWith("flash / automatic / not among"),
                          testing::StartsWith("sage / automatic / not among"),
                          testing::StartsWith("psa / automatic / not among")));
  const auto none = Select({.backend = "nabla", .allowed_backends = {"psa"}});
  EXPECT_EQ(none.status().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(FallbackTest, ItNeverPicksAnApproximationUnasked) {
  policy_.quarantined["flash"] = {"slow", false};
  EXPECT_EQ(Select({.backend = "flash"})->backend->info().name, "eager");
  EXPECT_EQ(Select({.backend = "flash", .allow_approximate = true})->backend->info().name, "sage");
}

TEST_F(FallbackTest, OptionsOfTheRefusedBackendAreLeftOutAndNamed) {
  policy_.quarantined["sage"] = {"wrong images", false};
  const auto selection = Select(
      {.backend = "sage",
       .options = {{"pv", {std::string("fp8")}}, {"v_max", {2.25}}, {"block_q", {int64_t{32}}}}});
  ASSERT_TRUE(selection.ok()) << selection.status();
  EXPECT_EQ(selection->backend->info().name, "flash");
  EXPECT_TRUE(selection->options == (OptionMap{{"block_q", {int64_t{32}}}}))
      << "flash declares block_q, so the call's block_q stays";
  EXPECT_THAT(Refusals(selection),
              ElementsAre("sage / call / 'sage' is quarantined: wrong images; options left out: "
                          "pv, v_max"));
}

TEST_F(FallbackTest, OptionsMeantForABackendThatIsNotInThisBuildAreLeftOutAndNamed) {
  const auto selection = Select({.backend = "nabla", .options = {{"P", {0.9}}}});
  ASSERT_TRUE(selection.ok()) << selection.status();
  EXPECT_TRUE(selection->options.empty());
  EXPECT_THAT(Refusals(selection),
              ElementsAre("nabla / call / 'nabla' is not in this build; options left out: P"));
}

TEST_F(FallbackTest, OptionsOfTheRefusedAliasDoNotReachTheNextBackend) {
  policy_.quarantined["sage"] = {"", false};
  const auto selection = Select({.backend = "_sage_qk_int8_pv_fp8_cuda"});
  EXPECT_EQ(selection->backend->info().name, "flash");
  EXPECT_TRUE(selection->options.empty());
}

TEST_F(FallbackTest, OptionThatNobodyDeclaresStaysAnError) {
  const auto selection = Select({.backend = "sage", .options = {{"pvv", {std::string("fp8")}}}});
  EXPECT_EQ(selection.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(selection), HasSubstr("sage: unknown option 'pvv'; did you mean 'pv'?"));
  EXPECT_THAT(Message(selection), HasSubstr("flash: unknown option 'pvv'"));
}

TEST_F(FallbackTest, OptionThatTheNextBackendDeclaresMustSuitIt) {
  policy_.quarantined["psa"] = {"", false};
  policy_.environment = Named("flash");
  const auto selection = Select({.backend = "psa", .options = {{"block_q", {0.5}}}});
  EXPECT_EQ(selection->backend->info().name, "eager") << "which has no block_q to be wrong";
  EXPECT_THAT(Refusals(selection).at(1),
              HasSubstr("flash / environment / flash: option 'block_q'"));
}

TEST_F(FallbackTest, RefusedOptionIsOneMoreReasonToFallBack) {
  const auto selection = Select({.backend = "sage", .options = {{"pv", {std::string("fp4")}}}});
  EXPECT_EQ(selection->backend->info().name, "flash");
  EXPECT_THAT(Refusals(selection).at(0), HasSubstr("allowed: fp16, fp8; options left out: pv"));
}

}  // namespace
}  // namespace attn
