#include "server/policy/selection.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/policy/fake_backend.h"
#include "tests/server/policy/selection_support.h"

namespace attn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Selection, FirstRuleThatNamesABackendDecides) {
  const Registry registry = MakeRegistry({{.name = "flash", .cost_rank = 1},
                                          {.name = "psa", .cost_rank = 2},
                                          {.name = "sage", .cost_rank = 3},
                                          {.name = "sta", .cost_rank = 4},
                                          {.name = "vsa", .cost_rank = 5},
                                          {.name = "sla", .cost_rank = 6}});
  ModelPresets model;
  model.default_preset = "only";
  model.presets["only"] = {"only", "sla", "", {}};
  const auto presets = std::make_shared<const PresetTable>(
      std::map<std::string, ModelPresets, std::less<>>{{"m", model}});
  const char* const outcomes[] = {"scope:psa",       "forced:sage", "call:sta",
                                  "environment:vsa", "preset:sla",  "automatic:flash"};
  for (unsigned present = 0; present < 32; ++present) {
    PolicySnapshot policy;
    policy.presets = presets;
    SelectionRequest request;
    if (present & 1) policy.scopes.push_back(MakeScope("s", ScopeKind::kProcess, "psa"));
    if (present & 2) policy.forced = Named("SAGE_ATTN");
    if (present & 4) request.backend = "sta";
    if (present & 8) policy.environment = Named("vsa");
    if (present & 16) request.model = std::string("m");
    const int first = present == 0 ? 5 : __builtin_ctz(present);
    EXPECT_EQ(Outcome(Select(policy, registry, request, MakeProblem())), outcomes[first])
        << "rules present: " << present;
  }
}

TEST(Selection, InnermostScopeThatAppliesDecides) {
  const Registry registry = StandardRegistry();
  const Scope mine = MakeScope("mine", ScopeKind::kCalls, "psa");
  const Scope other = MakeScope("other", ScopeKind::kCalls, "sage");
  const Scope process = MakeScope("process", ScopeKind::kProcess, "eager");
  struct Case {
    const char* name;
    std::vector<Scope> scopes;
    const char* scope_id;
    const char* outcome;
    const char* deciding_id;
  };
  const Case cases[] = {
      {"a scope over calls leaves others alone", {mine}, "", "automatic:flash", ""},
      {"a scope over calls steers those with its id", {mine}, "mine", "scope:psa", "mine"},
      {"two callers, the first's scope", {mine, other}, "mine", "scope:psa", "mine"},
      {"two callers, the second's scope", {mine, other}, "other", "scope:sage", "other"},
      {"a process scope steers every call", {process}, "", "scope:eager", ""},
      {"process inside calls", {mine, process}, "mine", "scope:eager", ""},
      {"calls inside process", {process, mine}, "mine", "scope:psa", "mine"},
      {"process under another's calls", {process, other, mine}, "mine", "scope:psa", "mine"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    PolicySnapshot policy;
    policy.scopes = c.scopes;
    const auto selection = Select(policy, registry, {.scope_id = c.scope_id}, MakeProblem());
    EXPECT_EQ(Outcome(selection), c.outcome);
    EXPECT_EQ(selection->scope_id, c.deciding_id);
  }
}

TEST(Selection, ScopesNestAndRestoreWhatWasInForce) {
  const Registry registry = StandardRegistry();
  const auto state = PolicyState::Create("", nullptr).value();
  const auto decide = [&](const std::string& id) {
    return Outcome(Select(*state->Snapshot(), registry, {.scope_id = id}, MakeProblem()));
  };
  ASSERT_TRUE(state->SetForced("flash").ok());
  const auto open = [&](const char* backend) {
    return state->OpenScope(ScopeKind::kProcess, backend, {}, "").value().id;
  };
  const std::string outer = open("eager");
  const std::string inner = open("sage");
  EXPECT_EQ(decide(""), "scope:sage");
  ASSERT_TRUE(state->CloseScope(outer).ok());
  EXPECT_EQ(decide(""), "scope:sage") << "ending the outer one leaves the inner in force";
  ASSERT_TRUE(state->CloseScope(inner).ok());
  EXPECT_EQ(decide(""), "forced:flash");
  ASSERT_TRUE(state->ClearForced().ok());
  EXPECT_EQ(decide(""), "automatic:flash");
}

TEST(Selection, RuleThatNamesAutoHasDecided) {
  const Registry registry = StandardRegistry();
  PolicySnapshot policy;
  policy.presets = MakePresets();
  SelectionRequest request{.model = "wan"};
  EXPECT_EQ(Outcome(Select(policy, registry, request, MakeProblem())), "preset:flash");
  EXPECT_EQ(Select(policy, registry, request, MakeProblem())->preset, "wan/dense");
  policy.environment = Named("eager");
  request.backend = "AUTO";
  const auto by_call = Select(policy, registry, request, MakeProblem());
  EXPECT_EQ(Outcome(by_call), "call:flash");
  EXPECT_EQ(by_call->requested, "AUTO");
  request.backend = "psa";
  policy.forced = Named("auto");
  EXPECT_EQ(Outcome(Select(policy, registry, request, MakeProblem())), "forced:flash");
  policy.scopes = {MakeScope("s", ScopeKind::kCalls, "auto")};
  request.scope_id = "s";
  const auto by_scope = Select(policy, registry, request, MakeProblem());
  EXPECT_EQ(Outcome(by_scope), "scope:flash");
  EXPECT_EQ(by_scope->scope_id, "s");
}

TEST(Selection, CallsThatAreWrongWhicheverRuleDecidesAreErrors) {
  const Registry registry = StandardRegistry();
  PolicySnapshot policy;
  policy.presets = MakePresets();
  policy.scopes = {MakeScope("secret-process-id", ScopeKind::kProcess, "flash"),
                   MakeScope("mine", ScopeKind::kCalls, "flash")};
  policy.forced = Named("flash");
  struct Case {
    SelectionRequest request;
    absl::StatusCode code;
    const char* message;
  };
  const Case cases[] = {
      {{.scope_id = "ended"}, absl::StatusCode::kNotFound, "scope 'ended' is unknown or has ended"},
      {{.scope_id = "secret-process-id"}, absl::StatusCode::kNotFound, "is unknown or has ended"},
      {{.model = "wam"}, absl::StatusCode::kNotFound, "unknown model 'wam'; did you mean 'wan'?"},
      {{.model = "wan", .preset = "fats"},
       absl::StatusCode::kNotFound,
       "model 'wan': unknown preset 'fats'"},
      {{.model = "wan", .preset = "fats"}, absl::StatusCode::kNotFound, "known: dense, fast, int8"},
      {{.preset = "fast"},
       absl::StatusCode::kInvalidArgument,
       "preset 'fast' is given without the model"},
      {{.backend = "flahs"}, absl::StatusCode::kInvalidArgument, "did you mean 'flash'? known: "},
      {{.allowed_backends = {"flahs"}},
       absl::StatusCode::kInvalidArgument,
       "allowed_backends: unknown backend 'flahs'"},
      {{.allowed_backends = {"NO_ATTENTION"}},
       absl::StatusCode::kUnimplemented,
       "allowed_backends: 'NO_ATTENTION'"},
      {{.allowed_backends = {"auto"}},
       absl::StatusCode::kInvalidArgument,
       "allowed_backends: 'auto' names no backend"},
      {{.allowed_backends = {"flash", "sdpa"}},
       absl::StatusCode::kInvalidArgument,
       "allowed_backends: 'sdpa' is 'flash', which the list has already"},
  };
  for (const Case& c : cases) {
    for (const bool allow_fallback : {false, true}) {
      SelectionRequest request = c.request;
      request.allow_fallback = allow_fallback;
      const auto selection = Select(policy, registry, request, MakeProblem());
      EXPECT_EQ(selection.status().code(), c.code) << c.message;
      EXPECT_THAT(Message(selection), HasSubstr(c.message));
    }
  }
}

TEST(Selection, NamedBackendThatCannotServeIsAnErrorWithEveryReason) {
  const Registry registry = MakeRegistry({
      {.name = "flash", .cost_rank = 1, .options = FlashOptions()},
      {.name = "sage", .cost_rank = 2, .exact = false, .options = SageOptions()},
      {.name = "cudnn", .available = absl::UnavailableError("cudnn: no CUDA device")},
  });
  PolicySnapshot policy;
  policy.quarantined["sage"] = {"wrong images", false};
  struct Case {
    const char* name;
    SelectionRequest request;
    int64_t head_dim;
    absl::StatusCode code;
    std::vector<std::string> messages;
  };
  const Case cases[] = {
      {"not in this build",
       {.backend = "VMOBA_ATTN"},
       64,
       absl::StatusCode::kUnimplemented,
       {"'vmoba' is not in this build", "rule: call", "allow_fallback is not set"}},
      {"never served",
       {.backend = "SAGE_ATTN_THREE"},
       64,
       absl::StatusCode::kUnimplemented,
       {"'SAGE_ATTN_THREE' is known but never served here: "}},
      {"problem that does not fit",
       {.backend = "flash"},
       300,
       absl::StatusCode::kUnimplemented,
       {"flash: head_dim 300 not supported, supported: 1 to 256"}},
      {"missing device",
       {.backend = "cudnn"},
       64,
       absl::StatusCode::kUnavailable,
       {"cudnn: no CUDA device"}},
      {"quarantine",
       {.backend = "sage"},
       64,
       absl::StatusCode::kFailedPrecondition,
       {"'sage' is quarantined: wrong images"}},
      {"unknown option",
       {.backend = "flash", .options = {{"blok_q", {int64_t{1}}}}},
       64,
       absl::StatusCode::kInvalidArgument,
       {"flash: unknown option 'blok_q'; did you mean 'block_q'?"}},
      {"all at once",
       {.backend = "sage", .options = {{"pv", {std::string("fp4")}}}},
       300,
       absl::StatusCode::kFailedPrecondition,
       {"'sage' is quarantined: wrong images; sage: head_dim 300 not supported",
        "allowed: fp16, fp8"}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto selection = Select(policy, registry, c.request, MakeProblem(c.head_dim));
    EXPECT_EQ(selection.status().code(), c.code);
    for (const std::string& message : c.messages) {
      EXPECT_THAT(Message(selection), HasSubstr(message));
    }
  }
}

TEST(Selection, ErrorOfANamedBackendNamesThoseThatCouldServe) {
  const Registry registry = StandardRegistry();
  PolicySnapshot policy;
  const auto message = [&](const SelectionRequest& request, int64_t head_dim) {
    return Message(Select(policy, registry, request, MakeProblem(head_dim)));
  };
  EXPECT_EQ(message({.backend = "flash"}, 300),
            "flash: head_dim 300 not supported, supported: 1 to 256 (rule: call; allow_fallback is "
            "not set; could serve it: eager)");
  EXPECT_THAT(message({.backend = "vmoba", .allow_approximate = true}, 64),
              HasSubstr("; could serve it: flash, sage, psa, eager)"));
  // No backend but the named one may be used, or none could.
  EXPECT_THAT(message({.backend = "flash", .allowed_backends = {"psa"}}, 300),
              testing::EndsWith("allow_fallback is not set)"));
  EXPECT_THAT(message({.backend = "flash"}, 1024), testing::EndsWith("not set)"));
  // The call itself is wrong.
  EXPECT_THAT(message({.backend = "flash", .options = {{"block_q", {std::string("x")}}}}, 64),
              testing::EndsWith("not set)"));
  policy.quarantined["flash"] = {"slow", false};
  EXPECT_THAT(message({.backend = "flash"}, 64), HasSubstr("; could serve it: eager)"));
}

TEST(Selection, ErrorSaysWhichRuleNamedTheBackend) {
  const Registry registry = StandardRegistry();
  PolicySnapshot policy;
  policy.forced = Named("nabla");
  const auto selection = Select(policy, registry, {.backend = "flash"}, MakeProblem());
  EXPECT_EQ(selection.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(Message(selection), HasSubstr("'nabla' is not in this build (rule: forced"));
}

TEST(Selection, AutomaticTakesTheCheapestExactBackendThatServes) {
  const Registry registry = StandardRegistry();
  PolicySnapshot policy;
  const auto select = [&](const SelectionRequest& request, int64_t head_dim = 64) {
    return Select(policy, registry, request, MakeProblem(head_dim));
  };
  EXPECT_EQ(Outcome(select({})), "automatic:flash");
  EXPECT_EQ(select({})->requested, "");
  const auto wide = select({}, 512);
  EXPECT_EQ(Outcome(wide), "automatic:eager");
  std::vector<std::string> refused;
  for (const Refusal& refusal : wide->refused) {
    EXPECT_EQ(refusal.rule, Rule::kAutomatic);
    refused.push_back(absl::StrCat(refusal.backend, " / ", refusal.reason));
  }
  EXPECT_THAT(refused, ElementsAre("flash / flash: head_dim 512 not supported, supported: 1 to 256",
                                   "sage / approximate; the call does not set allow_approximate",
                                   "psa / approximate; the call does not set allow_approximate"));

  policy.quarantined["flash"] = {"", true};
  EXPECT_EQ(Outcome(select({})), "automatic:eager");
  EXPECT_EQ(select({})->refused.at(0).reason, "'flash' is quarantined");
  EXPECT_EQ(Outcome(select({.allow_approximate = true})), "automatic:sage");
  EXPECT_EQ(Outcome(select({.allowed_backends = {"psa", "eager"}, .allow_approximate = true})),
            "automatic:psa");
}

TEST(Selection, AllowedBackendsRestrictAutomaticChoiceButNotANamedOne) {
  const Registry registry = StandardRegistry();
  const PolicySnapshot policy;
  const auto select = [&](const SelectionRequest& request) {
    return Select(policy, registry, request, MakeProblem());
  };
  const auto eager = select({.allowed_backends = {"_native_math"}});
  EXPECT_EQ(Outcome(eager), "automatic:eager");
  EXPECT_EQ(eager->refused.at(0).reason, "not among the call's allowed_backends");
  EXPECT_EQ(Outcome(select({.backend = "flash", .allowed_backends = {"eager"}})), "call:flash");

  const auto none = select({.allowed_backends = {"sage"}});
  EXPECT_EQ(none.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(Message(none), HasSubstr("flash: not among the call's allowed_backends"));
  EXPECT_THAT(Message(none), HasSubstr("sage: approximate; the call does not set"));
}

TEST(Selection, NothingLeftIsInvalidArgumentOnlyIfEveryBackendThatWasTriedSaysSo) {
  const Registry registry = StandardRegistry();
  PolicySnapshot policy;
  const SelectionRequest typo{.options = {{"blok_q", {int64_t{1}}}}};
  const auto invalid = Select(policy, registry, typo, MakeProblem());
  EXPECT_EQ(invalid.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(invalid), HasSubstr("flash: unknown option 'blok_q'; did you mean"));
  EXPECT_THAT(Message(invalid), HasSubstr("eager: unknown option 'blok_q'"));

  const auto mixed = Select(policy, registry, typo, MakeProblem(512));
  EXPECT_EQ(mixed.status().code(), absl::StatusCode::kUnimplemented);
  const auto empty = Select(policy, MakeRegistry({}), {}, MakeProblem());
  EXPECT_EQ(empty.status().code(), absl::StatusCode::kUnimplemented);
}

// `OUTCOME` and, of the backends that are in a standard registry, `BACKEND / REASON`.
std::vector<std::string> Explained(const SelectionRequest& request, int64_t head_dim = 64) {
  const Registry registry = StandardRegistry();
  const Explanation explained = Explain({}, registry, request, MakeProblem(head_dim));
  const Selection& selection = explained.selection;
  EXPECT_EQ(explained.status.ok(), selection.backend != nullptr);
  std::vector<std::string> lines = {explained.status.ok() ? Outcome(selection) : "failed"};
  for (const Refusal& refusal : selection.refused) {
    if (registry.Find(refusal.backend) == nullptr) continue;
    lines.push_back(absl::StrCat(refusal.backend, " / ", refusal.reason));
  }
  return lines;
}

TEST(Explain, NamesEveryOtherBackendWithItsReason) {
  EXPECT_THAT(Explained({}), ElementsAre("automatic:flash",
                                         "sage / approximate; the call does not set "
                                         "allow_approximate",
                                         "psa / approximate; the call does not set "
                                         "allow_approximate",
                                         "eager / could serve; 'flash' is first in the automatic "
                                         "order"));
  EXPECT_THAT(
      Explained({.backend = "eager", .allow_approximate = true}, 300),
      ElementsAre("call:eager", "flash / flash: head_dim 300 not supported, supported: 1 to 256",
                  "sage / sage: head_dim 300 not supported, supported: 1 to 256",
                  "psa / psa: head_dim 300 not supported, supported: 1 to 256"));
  EXPECT_THAT(Explained({.backend = "psa", .allowed_backends = {"eager", "flash"}}),
              ElementsAre("call:psa", "flash / could serve; rule 'call' names 'psa'",
                          "sage / not among the call's allowed_backends",
                          "eager / could serve; rule 'call' names 'psa'"));
}

TEST(Explain, NamesEveryBackendWithItsReasonWhereTheCallFails) {
  EXPECT_THAT(
      Explained({.backend = "flash"}, 300),
      ElementsAre("failed", "flash / flash: head_dim 300 not supported, supported: 1 to 256",
                  "sage / approximate; the call does not set allow_approximate",
                  "psa / approximate; the call does not set allow_approximate",
                  "eager / could serve; the call does not set allow_fallback"));
  EXPECT_THAT(Explained({.allowed_backends = {"psa"}}),
              ElementsAre("failed", "flash / not among the call's allowed_backends",
                          "sage / not among the call's allowed_backends",
                          "psa / approximate; the call does not set allow_approximate",
                          "eager / not among the call's allowed_backends"));
  EXPECT_THAT(Explained({.scope_id = "x"}),
              ElementsAre("failed", "flash / not tried: the call itself is wrong",
                          "sage / not tried: the call itself is wrong",
                          "psa / not tried: the call itself is wrong",
                          "eager / not tried: the call itself is wrong"));
}

TEST(Explain, NamesEveryCanonicalBackendOnce) {
  const Registry registry = StandardRegistry();
  for (const SelectionRequest& request :
       {SelectionRequest{}, SelectionRequest{.backend = "nabla"}, SelectionRequest{.scope_id = "x"},
        SelectionRequest{.allowed_backends = {"nabla"}}}) {
    const Selection selection = Explain({}, registry, request, MakeProblem()).selection;
    std::vector<std::string> named;
    if (selection.backend != nullptr) named.push_back(selection.backend->info().name);
    for (const Refusal& refusal : selection.refused) {
      named.push_back(refusal.backend);
      if (registry.Find(refusal.backend) != nullptr) continue;
      EXPECT_THAT(refusal.reason, testing::HasSubstr("not in this build")) << refusal.backend;
    }
    const auto canonical = CanonicalBackendNames();
    EXPECT_THAT(named, testing::UnorderedElementsAreArray(canonical.begin(), canonical.end()));
  }
}

TEST(Explain, FailsAsTheCallWould) {
  const Registry registry = StandardRegistry();
  const PolicySnapshot policy;
  for (const SelectionRequest& request :
       {SelectionRequest{.backend = "nabla"}, SelectionRequest{.scope_id = "x"},
        SelectionRequest{.allowed_backends = {"psa"}}}) {
    const absl::Status status = Explain(policy, registry, request, MakeProblem()).status;
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(status, Select(policy, registry, request, MakeProblem()).status());
  }
}

TEST(Select, SaysThatAllowedBackendsAreNotInThisBuild) {
  const auto selection =
      Select({}, StandardRegistry(), {.allowed_backends = {"nabla", "VSA"}}, MakeProblem());
  EXPECT_EQ(selection.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(Message(selection),
              testing::AllOf(testing::HasSubstr("allowed_backends: 'nabla' is not in this build"),
                             testing::HasSubstr("allowed_backends: 'vsa' is not in this build")));
}

TEST(Select, AsksTheBackendForOptionsAgainstTheProblem) {
  const Registry registry = MakeRegistry(
      {{.name = "flash", .cost_rank = 1, .check = absl::InvalidArgumentError("flash: blocks")},
       {.name = "eager", .cost_rank = 2}});
  EXPECT_EQ(Outcome(Select({}, registry, {}, MakeProblem())), "automatic:eager");
  const auto named = Select({}, registry, {.backend = "flash"}, MakeProblem());
  EXPECT_EQ(named.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(named), testing::StartsWith("flash: blocks"));
}

}  // namespace
}  // namespace attn
