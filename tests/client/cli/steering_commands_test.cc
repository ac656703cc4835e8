// The commands that show and steer a server.
#include <csignal>

#include "client/cli/child_process.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/cli/run_attn.h"
#include "tests/client/fake_server.h"
#include "tests/client/scoped_environment.h"

namespace attn::cli {
namespace {

using testing::HasSubstr;

// Before the first thread of a fake server: `attn` is a process of its own and does it in time.
const bool kSignalsBlocked = (BlockForwardedSignals(), true);

class SteeringCommands : public testing::Test {
 protected:
  SteeringCommands()
      : server_({&service_, &admin_}), variable_("ATTN_SERVER", server_.unix_socket()) {}

  FakeAttention service_;
  FakeAdmin admin_;
  FakeServer server_;
  ScopedVariable variable_;
};

TEST_F(SteeringCommands, BackendsListAndShowOne) {
  attention::v1::Backend& flash = *service_.backends.mutable_backends(1);
  flash.add_aliases("FLASH_ATTN");
  flash.add_dtypes(attention::v1::DATA_TYPE_BF16);
  attention::v1::OptionSpec& option = *flash.add_options();
  option.set_name("block");
  option.set_allowed("16 to 256");
  const nlohmann::json all = RunAttn({"backends", "--json"}).json()["backends"];
  ASSERT_EQ(all.size(), 2);
  EXPECT_EQ(all[1]["name"], "flash");
  EXPECT_EQ(all[1]["dtypes"], nlohmann::json({"bf16"}));
  EXPECT_THAT(RunAttn({"backends"}).out, HasSubstr("flash"));
  const AttnOutput one = RunAttn({"backends", "flash_attn"});
  EXPECT_EQ(one.exit_code, 0);
  EXPECT_THAT(one.out, HasSubstr("16 to 256"));
  const AttnOutput unknown = RunAttn({"backends", "flush"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean 'flash'?"));
}

TEST_F(SteeringCommands, BackendsSayNothingOfWhatIsNotThere) {
  attention::v1::Backend& flash = *service_.backends.mutable_backends(1);
  flash.set_available(false);
  service_.backends.mutable_backends(0)->set_min_head_dim(1);
  service_.backends.mutable_backends(0)->set_max_head_dim(256);
  flash.set_unavailable_reason("not in this build\x1b[2J");
  const AttnOutput list = RunAttn({"backends"});
  EXPECT_THAT(list.out, HasSubstr("1-256"));
  EXPECT_THAT(list.out, testing::Not(HasSubstr("0-0")));
  EXPECT_THAT(list.out, HasSubstr("unavailable: not in this build\\x1b[2J"));
  EXPECT_THAT(RunAttn({"backends", "flash"}).out, HasSubstr("automatic order\n"));
}

TEST_F(SteeringCommands, ExplainDescribesTensorsWithoutData) {
  service_.explanation.mutable_selection()->set_backend("flash");
  service_.explanation.mutable_selection()->set_rule(attention::v1::RULE_PRESET);
  const AttnOutput output = RunAttn({"explain", "--shape", "1x8x16x64", "--kv_heads", "2", "--sk",
                                     "32", "--pattern", "b s (h d)", "--causal", "--json"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(output.json()["selection"]["backend"], "flash");
  EXPECT_EQ(output.json()["selection"]["rule"], "preset");
  const attention::v1::AttendRequest& call = service_.explained.call();
  EXPECT_TRUE(call.mask().causal());
  ASSERT_EQ(call.tensors_size(), 3);
  EXPECT_THAT(call.tensors(0).shape(), testing::ElementsAre(1, 16, 512));
  EXPECT_THAT(call.tensors(1).shape(), testing::ElementsAre(1, 32, 128));
  EXPECT_EQ(call.tensors(1).heads(), 2);
  EXPECT_EQ(call.tensors(1).dtype(), attention::v1::DATA_TYPE_BF16);
  EXPECT_TRUE(call.tensors(0).data().empty());
}

TEST_F(SteeringCommands, ExplainFailsWhereTheCallWould) {
  service_.explanation.set_error_code(12);
  service_.explanation.set_error_message("nobody takes head_dim 999");
  attention::v1::Refusal& refusal = *service_.explanation.mutable_selection()->add_refused();
  refusal.set_backend("flash");
  refusal.set_reason("supported: 1 to 256");
  const AttnOutput output = RunAttn({"explain", "--shape", "1x8x16x999", "--json"});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_EQ(output.json()["error"]["code"], "UNIMPLEMENTED");
  EXPECT_EQ(output.json()["selection"]["refused"][0]["reason"], "supported: 1 to 256");
  EXPECT_EQ(output.json()["selection"]["refused"][0]["name"], "flash");
  const AttnOutput table = RunAttn({"explain", "--shape", "1x8x16x999"});
  EXPECT_EQ(table.out,
            "would not run  rule  reason\n"
            "flash          none  supported: 1 to 256\n");
  EXPECT_THAT(table.err, HasSubstr("nobody takes head_dim 999"));
  EXPECT_EQ(RunAttn({"explain"}).exit_code, 2);
  EXPECT_EQ(RunAttn({"explain", "--q_shape", "1x1x1x1"}).exit_code, 2);
  EXPECT_EQ(RunAttn({"explain", "file", "--shape", "1x1x1x1"}).exit_code, 2);
}

TEST_F(SteeringCommands, LogSetsTheLevel) {
  EXPECT_THAT(RunAttn({"log", "debug"}).out, HasSubstr("before: info"));
  EXPECT_EQ(admin_.log_level, "debug");
  EXPECT_EQ(RunAttn({"log", "off", "--json"}).json()["previous_level"], "debug");
  EXPECT_EQ(RunAttn({"log"}).exit_code, 2);
  admin_.status = {grpc::StatusCode::INVALID_ARGUMENT, "no such level"};
  EXPECT_EQ(RunAttn({"log", "loud"}).exit_code, 1);
}

TEST_F(SteeringCommands, ForceSetsAndClears) {
  EXPECT_THAT(RunAttn({"force", "eager"}).out, HasSubstr("before: none"));
  EXPECT_EQ(admin_.forced, "eager");
  EXPECT_EQ(RunAttn({"force", "--clear", "--json"}).json()["previous_backend"], "eager");
  EXPECT_EQ(admin_.forced, "");
  EXPECT_EQ(RunAttn({"force"}).exit_code, 2);
  EXPECT_EQ(RunAttn({"force", "eager", "--clear"}).exit_code, 2);
  admin_.status = {grpc::StatusCode::FAILED_PRECONDITION, "nothing is forced"};
  EXPECT_EQ(RunAttn({"force", "--clear"}).exit_code, 1);
}

TEST_F(SteeringCommands, QuarantineAndRelease) {
  EXPECT_EQ(RunAttn({"quarantine", "flash", "--reason", "wrong answers"}).exit_code, 0);
  EXPECT_TRUE(admin_.log.WaitFor("quarantine flash: wrong answers"));
  EXPECT_EQ(RunAttn({"quarantine", "eager"}).exit_code, 0);
  EXPECT_TRUE(admin_.log.WaitFor("quarantine eager: by an operator"));
  EXPECT_EQ(RunAttn({"quarantine", "--release", "flash"}).exit_code, 0);
  EXPECT_TRUE(admin_.log.WaitFor("release flash"));
  EXPECT_EQ(RunAttn({"quarantine", "eager", "--release", "--json"}).json()["quarantined"], false);
  EXPECT_TRUE(admin_.log.WaitFor("release eager"));
  EXPECT_EQ(RunAttn({"quarantine", "flash", "--release", "--reason", "x"}).exit_code, 2);
  EXPECT_EQ(RunAttn({"quarantine"}).exit_code, 2);
}

TEST_F(SteeringCommands, PolicyShowsWhatSteers) {
  admin_.policy.set_forced_backend("eager");
  attention::v1::Scope& scope = *admin_.policy.add_scopes();
  scope.set_backend("flash");
  scope.set_holder("night-run");
  scope.set_time_left_ms(1500);
  admin_.policy.add_quarantines()->set_reason("three device errors");
  const AttnOutput table = RunAttn({"policy"});
  for (const char* text : {"eager", "night-run", "1.5", "three device errors"}) {
    EXPECT_THAT(table.out, HasSubstr(text));
  }
  const nlohmann::json policy = RunAttn({"policy", "--json"}).json()["policy"];
  EXPECT_EQ(policy["forced_backend"], "eager");
  EXPECT_EQ(policy["scopes"][0]["time_left_ms"], 1500);
}

TEST_F(SteeringCommands, HealthIsAnExitCode) {
  EXPECT_EQ(RunAttn({"health"}).exit_code, 0);
  server_.SetHealth("ready", false);
  const AttnOutput output = RunAttn({"health", "--service", "ready", "--json"});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_EQ(output.json()["health"], "NOT_SERVING");
  EXPECT_EQ(RunAttn({"health", "--service", "nobody"}).exit_code, 1);
}

TEST_F(SteeringCommands, LoadCountsCallsAndErrors) {
  const AttnOutput output = RunAttn({"load", "--shape", "1x2x16x8", "--requests", "20", "--warmup",
                                     "3", "--concurrency", "2", "--json"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const nlohmann::json load = output.json()["load"];
  EXPECT_EQ(load["completed"], 20);
  EXPECT_EQ(load["backends"]["flash"], 20);
  EXPECT_EQ(load["failed"], 0);
  EXPECT_EQ(load["stages_ms"]["kernel"]["mean"], 4.0);
  EXPECT_GT(load["latency_ms"]["p999"], 0.0);

  int calls = 0;
  service_.attend = [&](grpc::ServerContext* context, const auto& request, auto* response) {
    if (++calls == 2) return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full");
    return EchoQuery(context, request, response);
  };
  const AttnOutput failing =
      RunAttn({"load", "--shape", "1x1x1x1", "--requests", "3", "--warmup", "0", "--json"});
  EXPECT_EQ(failing.exit_code, 1);
  EXPECT_EQ(failing.json()["load"]["errors"]["RESOURCE_EXHAUSTED"], 1);
  EXPECT_EQ(failing.json()["load"]["completed"], 2);
  EXPECT_EQ(RunAttn({"load"}).exit_code, 2);
  EXPECT_EQ(RunAttn({"load", "--shape", "1x1x1x1", "--warmup", "x"}).exit_code, 2);
  EXPECT_EQ(RunAttn({"load", "--shape", "1x1x1x1", "--server", ClosedAddress()}).exit_code, 3);
}

// ---- scope ----

TEST_F(SteeringCommands, ScopeHandsItsIdToTheCommand) {
  const AttnOutput output = RunAttn({"scope", "--backend", "eager", "--ttl", "7s", "--holder", "me",
                                     "--", "sh", "-c", "echo id=$ATTN_SCOPE; exit 7", "--json"});
  EXPECT_EQ(output.exit_code, 7) << output.err;
  EXPECT_EQ(output.out, "id=scope-1\n");
  EXPECT_EQ(output.err, "");
  EXPECT_THAT(service_.log.events(),
              testing::ElementsAre("open eager for me 7000 ms", "half-close"));
}

TEST_F(SteeringCommands, ScopeOfTheProcessLeavesTheEnvironmentAlone) {
  const AttnOutput output = RunAttn({"scope", "--backend", "eager", "--process", "--", "sh", "-c",
                                     "echo \"id=${ATTN_SCOPE-none}\""});
  EXPECT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(output.out, "id=none\n");
  EXPECT_TRUE(admin_.log.WaitFor("half-close"));
  EXPECT_TRUE(service_.log.events().empty());
}

TEST_F(SteeringCommands, ScopeAnswersAsShellsDo) {
  ASSERT_TRUE(kSignalsBlocked);
  const auto scope = [](std::vector<std::string> command) {
    command.insert(command.begin(), {"scope", "--backend", "eager", "--"});
    return RunAttn(std::move(command)).exit_code;
  };
  EXPECT_EQ(scope({"true"}), 0);
  EXPECT_EQ(scope({"sh", "-c", "kill -TERM $$"}), 128 + SIGTERM);
  // The parent forwards what it is sent.
  EXPECT_EQ(scope({"sh", "-c", "trap 'exit 5' TERM; kill -TERM $PPID; sleep 10 & wait"}), 5);
  EXPECT_EQ(scope({"no-such-program-anywhere"}), 127);
  EXPECT_EQ(scope({"/"}), 126);
  EXPECT_EQ(RunAttn({"scope", "--backend", "eager"}).exit_code, 2);
  EXPECT_EQ(RunAttn({"scope", "--", "true"}).exit_code, 2);
}

TEST_F(SteeringCommands, ScopeSeesTheEndWhereChildrenAreIgnored) {
  std::signal(SIGCHLD, SIG_IGN);
  EXPECT_EQ(RunAttn({"scope", "--backend", "eager", "--", "sh", "-c", "exit 6"}).exit_code, 6);
}

TEST_F(SteeringCommands, ScopeWarnsWhenItEndsEarly) {
  service_.scope.expire = true;
  const AttnOutput output = RunAttn({"scope", "--backend", "eager", "--", "true"});
  EXPECT_EQ(output.exit_code, 0);
  EXPECT_THAT(output.err, HasSubstr("attn: warning: the scope"));
  EXPECT_THAT(output.err, HasSubstr("its time-to-live is over"));
}

TEST_F(SteeringCommands, ScopeDoesNotRunTheCommandWithoutAScope) {
  service_.scope.refusal = {grpc::StatusCode::INVALID_ARGUMENT, "unknown backend"};
  const AttnOutput output = RunAttn({"scope", "--backend", "x", "--", "echo", "ran"});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_EQ(output.out, "");
  EXPECT_EQ(RunAttn({"scope", "--backend", "x", "--server", ClosedAddress(), "--", "echo", "ran"})
                .exit_code,
            3);
}

}  // namespace
}  // namespace attn::cli
