#include "server/policy/policy_state.h"

#include <functional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attn {
namespace {

using testing::HasSubstr;

// A state whose time stands still until a test moves it.
class PolicyStateTest : public testing::Test {
 protected:
  std::unique_ptr<PolicyState> MakeState(PolicyLimits limits = {}) {
    const auto clock = [this] {
      if (const auto during = std::exchange(during_next_look_at_the_clock_, nullptr)) during();
      return now_;
    };
    return PolicyState::Create("", nullptr, limits, clock).value();
  }
  static std::string Open(PolicyState& state, const char* backend,
                          absl::Duration time_to_live = absl::Minutes(1)) {
    return state.OpenScope(ScopeKind::kCalls, backend, time_to_live, "test").value().id;
  }
  static std::vector<std::string> Backends(const PolicyState& state) {
    std::vector<std::string> backends;
    const std::shared_ptr<const PolicySnapshot> snapshot = state.Snapshot();
    for (const Scope& scope : snapshot->scopes) backends.push_back(scope.backend.canonical);
    return backends;
  }

  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  std::function<void()> during_next_look_at_the_clock_;
};

TEST_F(PolicyStateTest, StartsEmpty) {
  const auto snapshot = MakeState()->Snapshot();
  EXPECT_TRUE(snapshot->scopes.empty());
  EXPECT_FALSE(snapshot->forced || snapshot->environment);
  EXPECT_TRUE(snapshot->quarantined.empty());
  EXPECT_TRUE(snapshot->presets->models().empty());
}

TEST_F(PolicyStateTest, PresetsAreReplacedAndNothingElse) {
  const auto state = MakeState();
  ASSERT_TRUE(state->SetForced("eager").ok());
  Open(*state, "flash");
  const auto before = state->Snapshot();
  ModelPresets model;
  model.model = "M";
  state->SetPresets(std::make_shared<const PresetTable>(
      std::map<std::string, ModelPresets, std::less<>>{{"M", model}}));
  const auto after = state->Snapshot();
  EXPECT_TRUE(after->presets->models().contains("M"));
  EXPECT_TRUE(before->presets->models().empty()) << "a call in selection sees the old ones";
  EXPECT_EQ(after->forced->requested, "eager");
  EXPECT_EQ(after->scopes.size(), 1u);
  state->SetPresets(nullptr);
  EXPECT_TRUE(state->Snapshot()->presets->models().empty());
}

TEST_F(PolicyStateTest, EnvironmentIsReadAtTheStart) {
  const auto state = PolicyState::Create("FLASH_ATTN", nullptr);
  ASSERT_TRUE(state.ok());
  EXPECT_EQ((*state)->Snapshot()->environment->requested, "FLASH_ATTN");
  EXPECT_EQ((*state)->Snapshot()->environment->backend.canonical, "flash");

  const auto unknown = PolicyState::Create("flahs", nullptr).status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(unknown.message()),
              HasSubstr("ATTN_BACKEND: unknown backend 'flahs'; did you mean 'flash'? known: "));
  const auto never = PolicyState::Create("NO_ATTENTION", nullptr).status();
  EXPECT_EQ(never.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(never.message()), HasSubstr("ATTN_BACKEND: 'NO_ATTENTION'"));
}

TEST_F(PolicyStateTest, ScopesStandInTheOrderOfTheirOpeningWhateverEndsFirst) {
  const auto state = MakeState();
  const std::string outer = Open(*state, "flash");
  const std::string middle = Open(*state, "sage");
  const std::string inner = Open(*state, "psa");
  EXPECT_EQ(Backends(*state), (std::vector<std::string>{"flash", "sage", "psa"}));
  EXPECT_TRUE(state->CloseScope(middle).ok());
  EXPECT_EQ(Backends(*state), (std::vector<std::string>{"flash", "psa"}));
  EXPECT_TRUE(state->CloseScope(outer).ok());
  EXPECT_EQ(Backends(*state), (std::vector<std::string>{"psa"}));
  EXPECT_TRUE(state->CloseScope(inner).ok());
  EXPECT_TRUE(Backends(*state).empty());

  const absl::Status again = state->CloseScope(inner);
  EXPECT_EQ(again.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(again.message()), HasSubstr("is unknown or has ended"));
}

TEST_F(PolicyStateTest, ScopeEndsWithItsTimeToLive) {
  const auto state = MakeState();
  const std::string brief = Open(*state, "sage", absl::Seconds(10));
  Open(*state, "flash", absl::Seconds(20));
  const auto held = state->Snapshot();

  now_ += absl::Seconds(10) - absl::Nanoseconds(1);
  EXPECT_EQ(Backends(*state), (std::vector<std::string>{"sage", "flash"}));
  now_ += absl::Nanoseconds(1);
  EXPECT_EQ(Backends(*state), (std::vector<std::string>{"flash"}));
  EXPECT_EQ(held->scopes.size(), 2u) << "a snapshot never changes";
  EXPECT_EQ(state->CloseScope(brief).code(), absl::StatusCode::kNotFound);
  now_ += absl::Seconds(10);
  EXPECT_TRUE(Backends(*state).empty());
  EXPECT_EQ(state->Snapshot()->next_expiry, absl::InfiniteFuture());
}

TEST_F(PolicyStateTest, ReaderThatFindsAnExpiredScopeNeverUndoesAChangeThatCameBetween) {
  const auto state = MakeState();
  Open(*state, "sage", absl::Seconds(10));
  now_ += absl::Seconds(10);
  during_next_look_at_the_clock_ = [&] { ASSERT_TRUE(state->SetForced("flash").ok()); };
  EXPECT_TRUE(Backends(*state).empty());
  EXPECT_TRUE(state->Snapshot()->forced);
}

TEST_F(PolicyStateTest, ScopeRecordsWhatItsHolderSaid) {
  const auto state = MakeState({.max_time_to_live = absl::Hours(2)});
  const Scope scope =
      state->OpenScope(ScopeKind::kProcess, "_sage_qk_int8_pv_fp16_triton", {}, "ops").value();
  EXPECT_EQ(scope.kind, ScopeKind::kProcess);
  EXPECT_EQ(scope.requested, "_sage_qk_int8_pv_fp16_triton");
  EXPECT_EQ(scope.backend.canonical, "sage");
  EXPECT_FALSE(scope.backend.options.empty());
  EXPECT_EQ(scope.holder, "ops");
  EXPECT_EQ(scope.opened, now_);
  EXPECT_EQ(scope.expires, now_ + absl::Hours(2)) << "zero = the maximum";
}

TEST_F(PolicyStateTest, ScopeIdsAre128BitsAndDiffer) {
  const auto first = MakeState();
  const auto second = MakeState();  // Seeds itself.
  std::set<std::string> ids;
  for (int i = 0; i < 200; ++i) {
    for (PolicyState* state : {first.get(), second.get()}) {
      const std::string id = Open(*state, "flash");
      EXPECT_THAT(id, testing::MatchesRegex("[0-9a-f]+"));
      EXPECT_EQ(id.size(), 32u);
      ids.insert(id);
    }
  }
  EXPECT_EQ(ids.size(), 400u);
}

TEST_F(PolicyStateTest, ScopesOverCallsLeaveRoomForThoseOverTheProcess) {
  const auto state = MakeState({.max_scopes = 1, .max_time_to_live = absl::Hours(1)});
  ASSERT_TRUE(state->OpenScope(ScopeKind::kCalls, "flash", {}, "caller").ok());
  EXPECT_EQ(state->OpenScope(ScopeKind::kCalls, "flash", {}, "caller").status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(state->OpenScope(ScopeKind::kProcess, "flash", {}, "operator").ok());
}

TEST_F(PolicyStateTest, ScopesThatCannotBeHeldAreRefused) {
  const auto state = MakeState({.max_scopes = 2, .max_time_to_live = absl::Hours(1)});
  struct Case {
    const char* backend;
    absl::Duration time_to_live;
    size_t holder_bytes;
    absl::StatusCode code;
    const char* message;
  };
  const Case cases[] = {
      {"flahs", {}, 0, absl::StatusCode::kInvalidArgument, "did you mean 'flash'?"},
      {"NO_ATTENTION", {}, 0, absl::StatusCode::kUnimplemented, "never served here"},
      {"flash", -absl::Seconds(1), 0, absl::StatusCode::kInvalidArgument, "time_to_live -1s"},
      {"flash", absl::Hours(1) + absl::Seconds(1), 0, absl::StatusCode::kInvalidArgument,
       "allowed: 0 to 1h"},
      {"flash", absl::InfiniteDuration(), 0, absl::StatusCode::kInvalidArgument, "time_to_live"},
      {"flash", {}, 129, absl::StatusCode::kInvalidArgument, "holder has 129 bytes, at most 128"},
      {"flash", {}, 128, absl::StatusCode::kOk, ""},
  };
  for (const Case& c : cases) {
    const auto scope = state->OpenScope(ScopeKind::kCalls, c.backend, c.time_to_live,
                                        std::string(c.holder_bytes, 'h'));
    EXPECT_EQ(scope.status().code(), c.code) << c.message;
    EXPECT_THAT(std::string(scope.status().message()), HasSubstr(c.message));
  }
  Open(*state, "auto");
  const auto full = state->OpenScope(ScopeKind::kCalls, "flash", {}, "");
  EXPECT_EQ(full.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(full.status().message()), HasSubstr("all 2 scopes over calls are held"));
  now_ += absl::Minutes(1);  // The one that Open opened expires and makes room.
  EXPECT_TRUE(state->OpenScope(ScopeKind::kCalls, "flash", {}, "").ok());
}

TEST_F(PolicyStateTest, ForcedOverrideIsSetReplacedAndCleared) {
  const auto state = MakeState();
  EXPECT_EQ(state->ClearForced().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(state->SetForced("SAGE_ATTN").value(), "");
  EXPECT_EQ(state->SetForced("auto").value(), "SAGE_ATTN");
  EXPECT_EQ(state->Snapshot()->forced->backend.canonical, kAutoBackend);
  EXPECT_EQ(state->SetForced("nonsense").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(state->SetForced("_native_npu").status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(state->Snapshot()->forced->requested, "auto") << "an error changes nothing";
  EXPECT_EQ(state->ClearForced().value(), "auto");
  EXPECT_FALSE(state->Snapshot()->forced);
}

TEST_F(PolicyStateTest, QuarantineIsOfTheCanonicalBackendAndTheOperatorWins) {
  const auto state = MakeState();
  const auto record = [&] { return state->Snapshot()->quarantined.at("sage"); };
  EXPECT_EQ(state->ReleaseBackend("sage").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(state->QuarantineBackend("SAGE_ATTN", "device error", true).value(), "sage");
  EXPECT_TRUE(record().automatic);
  EXPECT_TRUE(state->QuarantineBackend("sage", "third device error", true).ok());
  EXPECT_EQ(record().reason, "third device error");
  EXPECT_TRUE(state->QuarantineBackend("sage", "wrong images", false).ok());
  EXPECT_EQ(state->QuarantineBackend("sage", "device error", true).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(record().reason, "wrong images");
  EXPECT_FALSE(record().automatic);
  EXPECT_EQ(state->ReleaseBackend("sage_hub").value(), "sage");
  EXPECT_TRUE(state->Snapshot()->quarantined.empty());
}

TEST_F(PolicyStateTest, QuarantineThatMakesNoSenseIsRefused) {
  const auto state = MakeState();
  const auto quarantine = [&](const char* backend, size_t reason_bytes) {
    return state->QuarantineBackend(backend, std::string(reason_bytes, 'r'), false).status();
  };
  EXPECT_THAT(std::string(quarantine("auto", 1).message()), HasSubstr("'auto' names no backend"));
  EXPECT_EQ(quarantine("auto", 1).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(quarantine("flahs", 1).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(quarantine("flash", 257).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(state->ReleaseBackend("auto").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(state->Snapshot()->quarantined.empty());
  EXPECT_TRUE(quarantine("flash", 256).ok());
}

TEST_F(PolicyStateTest, ControlCharactersInReasonsAndHoldersAreRefused) {
  const auto state = MakeState();
  for (const char* text : {"a\nb", "\x1b[31m", "\x7f", "tab\t"}) {
    const absl::Status reason = state->QuarantineBackend("flash", text, false).status();
    EXPECT_EQ(reason.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(reason.message()), HasSubstr("control character"));
    EXPECT_FALSE(absl::StrContains(reason.message(), text));
    EXPECT_EQ(
        state->OpenScope(ScopeKind::kCalls, "flash", absl::ZeroDuration(), text).status().code(),
        absl::StatusCode::kInvalidArgument);
  }
  EXPECT_TRUE(state->QuarantineBackend("flash", "dépassé: 3 ulp", false).ok());
}

}  // namespace
}  // namespace attn
