// Scoped and forced overrides on a real server, held by real processes.
#include <signal.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_process.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

// A call that any backend serves.
struct SmallCall {
  std::vector<float> values = std::vector<float>(2 * 16 * 8, 0.5F);
  AttendArguments arguments;

  SmallCall() {
    for (const char* name : {"q", "k", "v"}) {
      ClientTensor tensor;
      tensor.name = name;
      tensor.shape = {1, 2, 16, 8};
      tensor.data = std::as_bytes(std::span(values));
      arguments.tensors.push_back(std::move(tensor));
    }
  }
};

struct Choice {
  std::string backend;
  v1::Rule rule;
  bool operator==(const Choice&) const = default;
};

void PrintTo(const Choice& choice, std::ostream* out) {
  *out << choice.backend << " by " << v1::Rule_Name(choice.rule);
}

class ScopeTest : public ::testing::Test {
 protected:
  Choice Attend(const std::string& scope_id = "", const std::string& backend = "") {
    SmallCall call;
    call.arguments.request.set_scope_id(scope_id);
    call.arguments.request.set_backend(backend);
    const absl::StatusOr<AttendResult> result = client_->Attend(call.arguments, {});
    if (!result.ok()) return {std::string(result.status().message()), v1::RULE_UNSPECIFIED};
    return {result->selection.backend(), result->selection.rule()};
  }

  std::unique_ptr<HeldScope> Hold(const std::string& backend, bool process,
                                  int64_t time_to_live_ms = 0) {
    v1::HoldScopeRequest request;
    request.set_backend(backend);
    request.set_time_to_live_ms(time_to_live_ms);
    absl::StatusOr<std::unique_ptr<HeldScope>> scope = client_->HoldScope(request, process);
    EXPECT_TRUE(scope.ok()) << scope.status();
    return scope.ok() ? *std::move(scope) : nullptr;
  }

  // A disconnect reaches the server some time after it happened.
  void ExpectSoon(const Choice& expected) {
    for (int i = 0; i < 200 && Attend() != expected; ++i) absl::SleepFor(absl::Milliseconds(50));
    EXPECT_EQ(Attend(), expected);
  }

  ServerProcess server_;
  std::unique_ptr<AttentionClient> client_ = server_.Connect();
  const Choice automatic_ = {"flash", v1::RULE_AUTOMATIC};
  const Choice scoped_ = {"eager", v1::RULE_SCOPE};
};

TEST_F(ScopeTest, SteersOnlyTheCallsThatCarryItsId) {
  const auto eager = Hold("eager", false);
  const auto flash = Hold("flash", false);
  EXPECT_EQ(Attend(eager->id()), scoped_);
  EXPECT_EQ(Attend(flash->id()), (Choice{"flash", v1::RULE_SCOPE}));
  EXPECT_EQ(Attend(), automatic_);
  EXPECT_TRUE(eager->End().ok());
  EXPECT_THAT(Attend(eager->id()).backend, ::testing::HasSubstr("has ended"));
}

TEST_F(ScopeTest, ProcessScopeGoesOverTheForcedOverrideAndBack) {
  ASSERT_TRUE(client_->SetForcedOverride("flash").ok());
  EXPECT_EQ(Attend("", "eager"), (Choice{"flash", v1::RULE_FORCED}));
  const auto scope = Hold("eager", true);
  EXPECT_EQ(Attend(), scoped_);
  EXPECT_TRUE(scope->End().ok());
  EXPECT_EQ(Attend(), (Choice{"flash", v1::RULE_FORCED}));
  ASSERT_TRUE(client_->ClearForcedOverride().ok());
  EXPECT_EQ(Attend("", "eager"), (Choice{"eager", v1::RULE_CALL}));
  EXPECT_EQ(client_->ClearForcedOverride().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ScopeTest, EndOfAnOuterScopeLeavesTheInnerInForce) {
  const auto outer = Hold("flash", true);
  const auto inner = Hold("eager", true);
  EXPECT_TRUE(outer->End().ok());
  EXPECT_EQ(Attend(), scoped_);
  EXPECT_TRUE(inner->End().ok());
  EXPECT_EQ(Attend(), automatic_);
}

TEST_F(ScopeTest, EndsWithItsTimeToLive) {
  const auto scope = Hold("eager", true, /*time_to_live_ms=*/300);
  EXPECT_EQ(Attend(), scoped_);
  ExpectSoon(automatic_);
  EXPECT_EQ(scope->End().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ScopeTest, EndsWhenItsHolderIsKilled) {
  Process holder("attn", {"--server", server_.tcp(), "scope", "--process", "--backend", "eager",
                          "--", "/bin/sh", "-c", "echo held; exec sleep 600"});
  ASSERT_EQ(holder.ReadLine(), "held");
  EXPECT_EQ(Attend(), scoped_);
  holder.Signal(SIGKILL);
  ExpectSoon(automatic_);
}

TEST_F(ScopeTest, CommandRunsInsideItsScope) {
  const ProcessOutput run =
      server_.Attn({"scope", "--backend", "eager", "--", std::string(ATTN_BIN_DIR) + "/attn",
                    "--server", server_.unix_socket(), "explain", "--shape", "1x2x16x8", "--json"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, ::testing::HasSubstr("\"eager\""));
  EXPECT_THAT(run.out, ::testing::HasSubstr("\"scope\""));
  EXPECT_EQ(
      server_.Attn({"scope", "--backend", "eager", "--", "/bin/sh", "-c", "exit 7"}).exit_code, 7);
}

TEST_F(ScopeTest, QuarantineRefusesAndRelease) {
  ASSERT_TRUE(client_->QuarantineBackend("flash", "wrong results on Tuesdays").ok());
  EXPECT_EQ(Attend(), (Choice{"flex", v1::RULE_AUTOMATIC}));
  EXPECT_THAT(Attend("", "flash").backend, ::testing::HasSubstr("wrong results on Tuesdays"));
  ASSERT_TRUE(client_->ReleaseBackend("flash").ok());
  EXPECT_EQ(Attend(), automatic_);
}

TEST_F(ScopeTest, BackendThatCannotServeOpensNothing) {
  v1::HoldScopeRequest request;
  request.set_backend("flsh");
  EXPECT_EQ(client_->HoldScope(request, true).status().code(), absl::StatusCode::kInvalidArgument);
  request.set_backend("psa");
  EXPECT_EQ(client_->HoldScope(request, true).status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(client_->GetPolicy()->scopes_size(), 0);
}

TEST(EnvironmentTest, NamesTheBackendOfCallsThatNameNone) {
  ServerProcess server({}, {{"ATTN_BACKEND", "eager"}});
  const ProcessOutput run = server.Attn({"explain", "--shape", "1x2x16x8", "--json"});
  EXPECT_THAT(run.out, ::testing::HasSubstr("\"environment\""));
  EXPECT_THAT(run.out, ::testing::HasSubstr("\"eager\""));
}

TEST(EnvironmentTest, UnknownNameStopsTheStartWithTheList) {
  const ProcessOutput run =
      RunProgram("attnd", {"--listen", "127.0.0.1:0"}, {{"ATTN_BACKEND", "flsh"}});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, ::testing::HasSubstr("ATTN_BACKEND"));
  EXPECT_THAT(run.err, ::testing::HasSubstr("eager, flash"));
}

}  // namespace
}  // namespace attn
