// Calls without tensors, and where they go.
#include "client/attention_client.h"
#include "client/server_address.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/fake_server.h"
#include "tests/client/scoped_environment.h"

namespace attn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Admin, CallsDoAndAnswerWhatTheySay) {
  FakeAdmin admin;
  admin.policy.set_environment_backend("flash");
  const FakeServer server({&admin});
  const auto client = server.Connect();
  EXPECT_EQ(client->SetForcedOverride("eager").value(), "");
  EXPECT_EQ(client->SetForcedOverride("flash").value(), "eager");
  EXPECT_EQ(client->ClearForcedOverride().value(), "flash");
  EXPECT_EQ(client->QuarantineBackend("FLASH_ATTN", "wrong").value(), "canonical FLASH_ATTN");
  EXPECT_EQ(client->ReleaseBackend("flash").value(), "canonical flash");
  EXPECT_THAT(admin.log.events(), ElementsAre("quarantine FLASH_ATTN: wrong", "release flash"));
  EXPECT_EQ(client->GetPolicy()->environment_backend(), "flash");
}

TEST(Admin, OnlyReadsAreRetried) {
  FakeAdmin admin;
  admin.status = {grpc::StatusCode::UNAVAILABLE, "draining"};
  const FakeServer server({&admin});
  const auto client = server.Connect({.max_retries = 1});
  EXPECT_FALSE(client->ClearForcedOverride().ok());
  EXPECT_EQ(admin.calls, 1);
  EXPECT_FALSE(client->GetPolicy().ok());
  EXPECT_EQ(admin.calls, 3);
}

TEST(Admin, GoesToTheAdminServerOfTheEnvironment) {
  FakeAttention service;
  FakeAdmin admin;
  admin.policy.set_forced_backend("eager");
  const FakeServer server({&service});
  const FakeServer admin_server({&admin});
  const ScopedVariable server_variable("ATTN_SERVER", server.unix_socket());
  const ScopedVariable admin_variable("ATTN_ADMIN_SERVER", admin_server.unix_socket());
  const auto client = *AttentionClient::Create({});
  EXPECT_EQ(client->GetPolicy()->forced_backend(), "eager");
  EXPECT_EQ(client->ListBackends()->backends_size(), 2);
}

TEST(Health, AnswersInTheWordsOfTheStandardService) {
  FakeAttention service;
  FakeServer server({&service});
  const auto client = server.Connect();
  EXPECT_EQ(client->CheckHealth("").value(), "SERVING");
  server.SetHealth("ready", false);
  EXPECT_EQ(client->CheckHealth("ready").value(), "NOT_SERVING");
  EXPECT_EQ(client->CheckHealth("nobody").status().code(), absl::StatusCode::kNotFound);
  const auto nowhere = *AttentionClient::Create({.server = ClosedAddress(), .max_retries = 0});
  EXPECT_TRUE(IsUnreachable(nowhere->CheckHealth("").status()));
}

TEST(Create, RefusesWhatIsNoAddressAndSaysWhereItStood) {
  EXPECT_EQ(AttentionClient::Create({.server = "nonsense"}).status().message(),
            "server: 'nonsense' is not an address; allowed: host:port, [ipv6]:port or unix:PATH");
  const ScopedVariable variable("ATTN_SERVER", "host:port");
  EXPECT_THAT(std::string(AttentionClient::Create({}).status().message()),
              HasSubstr("ATTN_SERVER: 'host:port'"));
  EXPECT_EQ(AttentionClient::Create({.server = "a:1", .connections = 0}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(AttentionClient::Create({.server = "a:1", .max_retries = -1}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

struct AddressCase {
  const char* text;
  bool ok;
};

TEST(ServerAddress, IsHostAndPortOrASocketPath) {
  const std::string long_path = "unix:/" + std::string(120, 'a');
  const AddressCase cases[] = {
      {"localhost:8601", true},
      {"10.0.0.1:1", true},
      {"[::1]:65535", true},
      {"unix:/run/a.sock", true},
      {"unix:a.sock", true},
      {"attnd.svc.cluster.local:80", true},
      {"", false},
      {"localhost", false},
      {"localhost:", false},
      {":8601", false},
      {"localhost:0", false},
      {"localhost:65536", false},
      {"localhost:-1", false},
      {"localhost:86x", false},
      {"unix:", false},
      {"http://host:80", false},
      {"::1:80", false},
      {"[]:80", false},
      {long_path.c_str(), false},
  };
  for (const AddressCase& c : cases) {
    EXPECT_EQ(CheckServerAddress(c.text).ok(), c.ok) << c.text;
  }
}

}  // namespace
}  // namespace attn
