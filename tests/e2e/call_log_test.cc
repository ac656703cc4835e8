// What a real server says of single calls: request ids and the log.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "proto/attention/v1/admin.grpc.pb.h"
#include "tests/e2e/plain_call.h"
#include "tests/e2e/server_process.h"

namespace attn {
namespace {

namespace v1 = attention::v1;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::SizeIs;

// The call lines of a log in JSON.
std::vector<json> CallLines(const std::string& log) {
  std::vector<json> lines;
  for (const absl::string_view text : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
    json line = json::parse(text, nullptr, /*allow_exceptions=*/false);
    EXPECT_FALSE(line.is_discarded()) << "no JSON: " << text;
    if (line.contains("request_id")) lines.push_back(std::move(line));
  }
  return lines;
}

TEST(CallLogTest, RequestIdComesBackWhateverBecomesOfTheCall) {
  const ServerProcess server;
  const auto stub = ConnectPlain(server.tcp());
  const std::string trace = "0af7651916cd43dd8448eb211c80319c";
  const std::string traceparent = "00-" + trace + "-b7ad6b7169203331-01";
  for (const v1::AttendRequest& request : {PlainRequest(), v1::AttendRequest()}) {
    const PlainAnswer given = Attend(*stub, request, {{"x-request-id", "job 7/step 3"}});
    EXPECT_EQ(given.trailer("x-request-id"), "job 7/step 3");
    EXPECT_EQ(given.trailers.count("x-request-id-refused"), 0U);
    EXPECT_EQ(Attend(*stub, request, {{"traceparent", traceparent}}).trailer("x-request-id"),
              trace);
    const PlainAnswer fresh = Attend(*stub, request);
    EXPECT_THAT(fresh.trailer("x-request-id"), MatchesRegex("[0-9a-f]+"));
    EXPECT_THAT(fresh.trailer("x-request-id"), SizeIs(32));
    const PlainAnswer too_long = Attend(*stub, request, {{"x-request-id", std::string(129, 'x')}});
    EXPECT_THAT(too_long.trailer("x-request-id"), SizeIs(32));
    EXPECT_EQ(too_long.trailer("x-request-id-refused"), "129 bytes, allowed: 128");
  }
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", "list");
  v1::ListBackendsResponse response;
  ASSERT_TRUE(stub->ListBackends(&context, {}, &response).ok());
  const auto& trailers = context.GetServerTrailingMetadata();
  ASSERT_EQ(trailers.count("x-request-id"), 1U);
  EXPECT_EQ(trailers.find("x-request-id")->second, "list");
}

TEST(CallLogTest, CallIsOneLineOfTheLogInJson) {
  ServerProcess server({"--log_format", "json", "--log_level", "debug"});
  v1::AttendRequest request = PlainRequest();
  request.mutable_metadata()->set_caller_id("x\"}\n{\"level\":\"error\"");
  request.mutable_metadata()->set_priority(v1::CallMetadata::BATCH);
  ASSERT_TRUE(Attend(*ConnectPlain(server.tcp()), request, {{"x-request-id", "good"}}).status.ok());
  request.set_model("wan\n");
  ASSERT_FALSE(Attend(*ConnectPlain(server.tcp()), request, {{"x-request-id", "bad"}}).status.ok());
  const ProcessOutput output = server.Stop();
  EXPECT_EQ(output.exit_code, 0);
  const std::vector<json> lines = CallLines(output.err);
  ASSERT_EQ(lines.size(), 2U) << output.err;

  const json& good = lines[0];
  EXPECT_EQ(good["level"], "debug");
  EXPECT_EQ(good["request_id"], "good");
  EXPECT_EQ(good["caller"], "x\"}\n{\"level\":\"error\"");
  EXPECT_EQ(good["priority"], "batch");
  EXPECT_EQ(good["transport"], "tcp");
  EXPECT_EQ(good["backend"], "flash");
  EXPECT_EQ(good["device"], "cpu");
  EXPECT_EQ(good["rule"], "automatic");
  EXPECT_EQ(good["code"], "OK");
  EXPECT_EQ(good["end"], "finished");
  EXPECT_EQ(good["batch_calls"], 1);
  EXPECT_EQ(good["response_bytes"], 2 * 64 * 4);
  EXPECT_EQ(good["effective_flops"], 2.0 * (64 + 64) * 4);
  EXPECT_GT(good["total_us"], 0);

  const json& bad = lines[1];
  EXPECT_EQ(bad["request_id"], "bad");
  EXPECT_EQ(bad["model"], "wan\n");
  EXPECT_EQ(bad["backend"], "none");
  EXPECT_EQ(bad["code"], "NOT_FOUND");
  EXPECT_EQ(bad["end"], "refused");
  EXPECT_EQ(bad["stage"], "reading");
  EXPECT_EQ(bad["refusal"], "not_found");
  EXPECT_THAT(bad["error"].get<std::string>(), HasSubstr("wan"));
}

TEST(CallLogTest, LevelIsSwitchedWhileRunning) {
  ServerProcess server({"--log_format", "json"});
  const auto set_level = [&server](const std::string& level, std::string* previous) {
    const auto admin = v1::AdminService::NewStub(
        grpc::CreateChannel(server.unix_socket(), grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    v1::SetLogLevelRequest request;
    request.set_level(level);
    v1::SetLogLevelResponse response;
    const grpc::Status status = admin->SetLogLevel(&context, request, &response);
    *previous = response.previous_level();
    return status;
  };
  std::string previous;
  Attend(*ConnectPlain(server.tcp()), PlainRequest(), {{"x-request-id", "before"}});
  ASSERT_TRUE(set_level("debug", &previous).ok());
  EXPECT_EQ(previous, "info");
  Attend(*ConnectPlain(server.tcp()), PlainRequest(), {{"x-request-id", "between"}});
  ASSERT_TRUE(set_level("warning", &previous).ok());
  EXPECT_EQ(previous, "debug");
  Attend(*ConnectPlain(server.tcp()), PlainRequest(), {{"x-request-id", "after"}});
  const grpc::Status unknown = set_level("loud", &previous);
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(unknown.error_message(), HasSubstr("debug, info, warning, error, off"));
  const std::vector<json> lines = CallLines(server.Stop().err);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0]["request_id"], "between");
}

TEST(CallLogTest, SlowCallIsAWarning) {
  ServerProcess server({"--slow_call_ms", "10"});
  ASSERT_TRUE(Attend(*ConnectPlain(server.tcp()), PlainRequest(8, 1024), {{"x-request-id", "slow"}})
                  .status.ok());
  EXPECT_THAT(server.Stop().err,
              HasSubstr("level=warning msg=\"slow call\" request_id=slow caller=\"\""));
}

}  // namespace
}  // namespace attn
