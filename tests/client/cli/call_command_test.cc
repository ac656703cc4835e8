#include "tests/client/cli/call_command.h"

#include <cstring>
#include <map>

#include "absl/strings/str_cat.h"
#include "client/golden/safetensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attn::cli {
namespace {

using attention::v1::AttendRequest;
using attention::v1::AttendResponse;
using testing::HasSubstr;

TEST_F(CallCommand, ReportsEveryCallOfTheFile) {
  const AttnOutput output =
      Call({WriteFile({"layers.0.", "layers.1."}), "--json", "--backend", "FLASH"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const nlohmann::json calls = output.json()["calls"];
  ASSERT_EQ(calls.size(), 2);
  EXPECT_EQ(calls[0]["name"], "layers.0");
  EXPECT_EQ(calls[1]["name"], "layers.1");
  EXPECT_EQ(calls[0]["backend"], "FLASH");
  EXPECT_EQ(calls[0]["rule"], "call");
  EXPECT_EQ(calls[0]["requested"], "FLASH");
  EXPECT_EQ(calls[0]["device"], "cpu");
  EXPECT_EQ(calls[0]["refused"], nlohmann::json::array());
  EXPECT_EQ(calls[0]["sparsity"], 0.25);
  EXPECT_EQ(calls[0]["effective_gflop_per_s"], 2.0);
  EXPECT_EQ(calls[0]["metrics"]["kernel_ns"], 4'000'000);
  EXPECT_EQ(calls[0]["outputs"][0]["name"], "out");
  EXPECT_EQ(calls[0]["outputs"][0]["shape"], nlohmann::json({1, 2, 3, 4}));
  EXPECT_FALSE(calls[0].contains("check"));
}

TEST_F(CallCommand, PrintsTables) {
  const AttnOutput output = Call({WriteFile({""})});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_THAT(output.out, HasSubstr("tensors  1x2x3x4 fp32  1x2x3x4 fp32  1x2x3x4 fp32  flash"));
  EXPECT_THAT(output.out, HasSubstr("1.000   2.000  3.000   4.000   5.000  15.000"));
}

TEST_F(CallCommand, SendsWhatTheFlagsSay) {
  AttendRequest received;
  service_.attend = [&](grpc::ServerContext* context, const AttendRequest& request,
                        AttendResponse* response) {
    received = request;
    return EchoQuery(context, request, response);
  };
  const AttnOutput output = Call({WriteFile({""}),
                                  "--causal",
                                  "--alignment",
                                  "top_left",
                                  "--window=-1,2",
                                  "--scale",
                                  "0.5",
                                  "--k_lengths",
                                  "3",
                                  "--option",
                                  "block=64",
                                  "--option",
                                  "mode=topk",
                                  "--allowed",
                                  "flash,eager",
                                  "--model",
                                  "wan",
                                  "--preset",
                                  "fast",
                                  "--allow_fallback",
                                  "--timestep",
                                  "0",
                                  "--grid",
                                  "1,1,3",
                                  "--lse",
                                  "--plan",
                                  "--plan_block_q",
                                  "16",
                                  "--q_pattern",
                                  "b n s d",
                                  "--out_dtype",
                                  "bf16",
                                  "--caller_id",
                                  "me"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_TRUE(received.mask().causal());
  EXPECT_EQ(received.mask().alignment(), attention::v1::Mask::TOP_LEFT);
  EXPECT_EQ(received.mask().window().left(), -1);
  EXPECT_EQ(received.mask().window().right(), 2);
  EXPECT_THAT(received.mask().k_lengths(), testing::ElementsAre(3));
  EXPECT_EQ(received.scale(), 0.5);
  EXPECT_EQ(received.options().at("block").int64_value(), 64);
  EXPECT_EQ(received.options().at("mode").string_value(), "topk");
  EXPECT_THAT(received.allowed_backends(), testing::ElementsAre("flash", "eager"));
  EXPECT_EQ(received.model(), "wan");
  EXPECT_EQ(received.preset(), "fast");
  EXPECT_TRUE(received.allow_fallback());
  EXPECT_FALSE(received.allow_approximate());
  EXPECT_TRUE(received.metadata().has_timestep());
  EXPECT_FALSE(received.metadata().has_layer());
  EXPECT_EQ(received.metadata().grid().w(), 3);
  EXPECT_EQ(received.metadata().caller_id(), "me");
  EXPECT_TRUE(received.outputs().lse());
  EXPECT_TRUE(received.outputs().plan());
  EXPECT_EQ(received.outputs().plan_block_q(), 16);
  EXPECT_EQ(received.outputs().out_dtype(), attention::v1::DATA_TYPE_BF16);
  EXPECT_EQ(received.tensors(0).pattern(), "b n s d");
  EXPECT_EQ(received.tensors(1).pattern(), "");
}

TEST_F(CallCommand, WritesTheOutputsUnderTheirPrefixes) {
  const std::string path = absl::StrCat(testing::TempDir(), "/answers.safetensors");
  const AttnOutput output = Call({WriteFile({"a.", "b."}), "--out", path});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const auto file = SafetensorsFile::Read(path);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->tensors().size(), 2);
  for (const char* name : {"a.out", "b.out"}) {
    const FileTensor* out = file->Find(name);
    ASSERT_NE(out, nullptr);
    EXPECT_EQ(std::memcmp(out->data.data(), values_, sizeof(values_)), 0);
  }
}

TEST_F(CallCommand, RepeatsAsOftenAsAsked) {
  int calls = 0;
  service_.attend = [&](grpc::ServerContext* context, const AttendRequest& request,
                        AttendResponse* response) {
    grpc::Status status = EchoQuery(context, request, response);
    const int64_t queue_ns[] = {900, 100, 500};
    response->mutable_metrics()->set_queue_ns(queue_ns[calls++ % 3]);
    return status;
  };
  const AttnOutput output = Call({WriteFile({""}), "--repeat", "3", "--json"});
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(output.json()["calls"][0]["metrics"]["queue_ns"], 500);
  EXPECT_EQ(output.json()["calls"][0]["repeats"], 3);
}

TEST_F(CallCommand, ChecksAgainstEagerInAScopeOfItsOwn) {
  const AttnOutput output = Call({WriteFile({""}), "--check", "--json", "--backend", "flash"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const nlohmann::json check = output.json()["calls"][0]["check"];
  EXPECT_EQ(check["against"], "eager");
  EXPECT_EQ(check["rel_l2"], 0.0);
  EXPECT_EQ(check["passed"], true);
  EXPECT_TRUE(service_.log.WaitFor("open eager for attn, to check answers 0 ms"));
  EXPECT_TRUE(service_.log.WaitFor("half-close"));
}

// How often each key stands anywhere in the document.
void CountKeys(const nlohmann::json& value, std::map<std::string, int>* counts) {
  for (const auto& [key, item] : value.items()) {
    if (value.is_object()) ++(*counts)[key];
    if (item.is_structured()) CountKeys(item, counts);
  }
}

TEST_F(CallCommand, OnlyTheChoiceIsCalledBackendAndRule) {
  service_.attend = [](grpc::ServerContext* context, const AttendRequest& request,
                       AttendResponse* response) {
    const grpc::Status status = EchoQuery(context, request, response);
    attention::v1::Refusal& refusal = *response->mutable_selection()->add_refused();
    refusal.set_backend("vsa");
    refusal.set_rule(attention::v1::RULE_PRESET);
    refusal.set_reason("not in this build");
    return status;
  };
  const AttnOutput output = Call({WriteFile({"a.", "b."}), "--check", "--json"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  std::map<std::string, int> counts;
  CountKeys(output.json(), &counts);
  EXPECT_EQ(counts["calls"], 1);
  EXPECT_EQ(counts["backend"], 2);
  EXPECT_EQ(counts["rule"], 2);
  EXPECT_EQ(counts["check"], 2);
  const nlohmann::json refused = output.json()["calls"][0]["refused"][0];
  EXPECT_EQ(refused,
            nlohmann::json({{"name", "vsa"}, {"by", "preset"}, {"reason", "not in this build"}}));
}

// 2e-5 is an error of fp32, and rounding where either side has 16 bits.
TEST_F(CallCommand, HoldsFp32ToFp32) {
  service_.attend = [](grpc::ServerContext* context, const AttendRequest& request,
                       AttendResponse* response) {
    const grpc::Status status = EchoQuery(context, request, response);
    if (request.scope_id().empty()) return status;
    std::string& data = *response->mutable_outputs(0)->mutable_data();
    float values[kElements];
    std::memcpy(values, data.data(), sizeof(values));
    for (float& value : values) value *= 1 + 2e-5F;
    std::memcpy(data.data(), values, sizeof(values));
    return status;
  };
  const std::string file = WriteFile({""});
  const AttnOutput output = Call({file, "--check", "--json"});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_EQ(output.json()["calls"][0]["check"]["limit"], 1e-5);
}

TEST_F(CallCommand, FailsWhenEagerDisagrees) {
  service_.attend = [](grpc::ServerContext* context, const AttendRequest& request,
                       AttendResponse* response) {
    grpc::Status status = EchoQuery(context, request, response);
    if (!request.scope_id().empty()) (*response->mutable_outputs(0)->mutable_data())[3] = 0x41;
    return status;
  };
  const AttnOutput failed = Call({WriteFile({""}), "--check", "--json"});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_EQ(failed.json()["calls"][0]["check"]["passed"], false);
  EXPECT_THAT(Call({WriteFile({""}), "--check"}).out, HasSubstr("FAIL"));
  EXPECT_EQ(Call({WriteFile({""}), "--check", "--check_limit", "10"}).exit_code, 0);

  // Of an approximation the difference is reported and not judged.
  service_.backends.mutable_backends(1)->set_exact(false);
  const AttnOutput reported = Call({WriteFile({""}), "--check", "--json"});
  EXPECT_EQ(reported.exit_code, 0);
  EXPECT_GT(reported.json()["calls"][0]["check"]["rel_l2"], 0.0);
}

TEST_F(CallCommand, FailsWithTheServersStatus) {
  service_.attend = [](auto*, const auto&, auto*) {
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "no model 'wan'");
  };
  const AttnOutput output = Call({WriteFile({""}), "--model", "wan", "--json"});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_THAT(output.err, HasSubstr("attn: NOT_FOUND: no model 'wan'"));
  EXPECT_EQ(output.json()["error"]["code"], "NOT_FOUND");
  EXPECT_EQ(output.json()["error"]["message"], "no model 'wan'");
}

TEST_F(CallCommand, SaysThatTheServerDrainsOnlyWhereItDoes) {
  service_.attend = [](auto*, const auto&, auto*) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining\x1b[2J");
  };
  const std::string file = WriteFile({""});
  const AttnOutput draining = Call({file});
  EXPECT_EQ(draining.exit_code, 1);
  EXPECT_THAT(draining.err, HasSubstr("attn: UNAVAILABLE: draining\\x1b[2J\n"));
  EXPECT_THAT(draining.err, HasSubstr("attn: hint: the server is draining"));

  // Before any call is made.
  const AttnOutput unwritable = Call({file, "--out", file + "/nowhere/out.safetensors"});
  EXPECT_EQ(unwritable.exit_code, 2);
  EXPECT_THAT(unwritable.err, HasSubstr("attn: NOT_FOUND: "));
  EXPECT_THAT(unwritable.err, testing::Not(HasSubstr("hint")));
}

TEST_F(CallCommand, RefusesWrongArgumentsBeforeItCalls) {
  const std::string file = WriteFile({""});
  const std::vector<std::vector<std::string>> cases = {
      {"/nowhere/at/all.safetensors"},
      {},
      {file, "--window", "1"},
      {file, "--alignment", "middle"},
      {file, "--dtype", "bf16"},
      {file, "--repeat", "0"},
      {file, "--option", "novalue"},
      {file, "--plan_block_q", "16"},
      {file, "--check_limit", "1"},
      {file, "--heads", "-3"},
      {file, "--timeout", "5 parsecs"},
      {file, "--no_such_flag"},
      {file, "--as_case"},
      {file, "--mask_expr", "{"},
      {file, "--mask_expr", "{\"op\": \"casual\"}"},
      {file, "--mask_expr", "@/nowhere/at/all.json"},
      {file, "--q_offset", "3"},
      {file, "--bias", "not_in_the_file"},
      {file, "--rotary", "gptj"},
      {file, "--cos", "q"},
      {file, "--replicated"},
      {file, "--replicated=q,k"},
      {file, "--skip_scores", "maybe"},
      {file, "--sample_weights", "q"},
      {file, "--gate", "q"},
      {file, "--gate_form", "sigmoid"},
      {file, "--server", "nonsense"},
  };
  for (const auto& arguments : cases) {
    std::vector<std::string> with_json = arguments;
    with_json.push_back("--json");
    const AttnOutput output = Call(with_json);
    EXPECT_EQ(output.exit_code, 2) << output.out << output.err;
    EXPECT_THAT(output.err, HasSubstr("attn: ")) << output.err;
    EXPECT_TRUE(output.json().contains("error")) << output.out;
  }
}

TEST(Attn, SaysWhatToDoWithoutAServer) {
  const std::string address = ClosedAddress();
  const AttnOutput output = RunAttn({"backends", "--server", address});
  EXPECT_EQ(output.exit_code, 3);
  EXPECT_THAT(output.err,
              HasSubstr(absl::StrCat("attn: UNAVAILABLE: cannot reach a server at ", address)));
  EXPECT_THAT(output.err, HasSubstr("attnd"));
}

TEST(Attn, NamesTheCommandThatDoesNotExist) {
  const AttnOutput near = RunAttn({"--json", "backend", "--all"});
  EXPECT_EQ(near.exit_code, 2);
  EXPECT_THAT(near.err, HasSubstr("unknown command 'backend'; did you mean 'backends'? known: "));
  EXPECT_TRUE(near.json().contains("error"));
  EXPECT_THAT(RunAttn({"bogus"}).err, testing::ContainsRegex("'bogus'.* call, verify, .*health"));
  EXPECT_THAT(RunAttn({"--bogus"}).err, HasSubstr("unknown option '--bogus'"));
  EXPECT_THAT(RunAttn({}).err, HasSubstr("known: call, "));
}

TEST(Attn, TellsItsVersion) {
  const AttnOutput output = RunAttn({"--version"});
  EXPECT_EQ(output.exit_code, 0);
  EXPECT_THAT(output.out, testing::MatchesRegex("attn [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST(Attn, ExplainsEveryCommand) {
  EXPECT_EQ(RunAttn({}).exit_code, 2);
  EXPECT_THAT(RunAttn({"--help"}).out, HasSubstr("quarantine"));
  for (const char* command : {"call", "verify", "load", "backends", "explain", "policy", "force",
                              "scope", "quarantine", "health"}) {
    const AttnOutput output = RunAttn({command, "--help"});
    EXPECT_EQ(output.exit_code, 0) << command;
    EXPECT_THAT(output.out, HasSubstr(absl::StrCat("attn ", command))) << "an example";
    EXPECT_THAT(output.out, HasSubstr("\nExamples:\n")) << command;
    EXPECT_THAT(output.out, HasSubstr("\nExit codes: ")) << command;
  }
}

}  // namespace
}  // namespace attn::cli
