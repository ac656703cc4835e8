// What a client brings to be let in, and what it says about settings that cannot work.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/attention_client.h"
#include "client/connection_advice.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/fake_server.h"
#include "tests/client/scoped_environment.h"
#include "tests/support/certificates.h"

namespace attn {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string WriteTemporary(const std::string& name, const std::string& text) {
  const std::string path = testing::TempDir() + "/attn_connection_" + name;
  WriteFileAtomically(path, text);
  return path;
}

TEST(AdminToken, GoesWithAdminCallsAlone) {
  FakeAttention service;
  FakeAdmin admin;
  const FakeServer server({&service, &admin});
  const auto client = server.Connect({.admin_token = "secret"});
  ASSERT_TRUE(client->GetPolicy().ok());
  EXPECT_EQ(admin.authorization, "Bearer secret");
  admin.authorization.clear();
  ASSERT_TRUE(client->SetLogLevel("debug").ok());
  EXPECT_EQ(admin.authorization, "Bearer secret");
  admin.authorization.clear();
  attention::v1::HoldScopeRequest scope;
  scope.set_backend("eager");
  ASSERT_TRUE(client->HoldScope(scope, /*process=*/true).ok());
  EXPECT_EQ(admin.authorization, "Bearer secret");
  ASSERT_TRUE(client->ListBackends().ok());
  EXPECT_EQ(service.authorization, "") << "a secret that nobody asked for";
}

TEST(AdminToken, MayStandInAFile) {
  FakeAdmin admin;
  const FakeServer server({&admin});
  const ScopedVariable variable("ATTN_TOKEN_FILE",
                                WriteTemporary("token", "a-token-from-a-file\r\n"));
  ASSERT_TRUE(server.Connect()->GetPolicy().ok());
  EXPECT_EQ(admin.authorization, "Bearer a-token-from-a-file");
  ASSERT_TRUE(server.Connect({.admin_token = "given"})->GetPolicy().ok());
  EXPECT_EQ(admin.authorization, "Bearer given");
}

struct BadSetting {
  const char* name;
  std::vector<std::pair<const char*, std::string>> variables;
  std::string words;
};

TEST(Create, SaysWhichSettingCannotWork) {
  const TestAuthority authority;
  const IssuedCertificate issued = authority.Issue("client");
  const std::string certificate = WriteTemporary("c.pem", issued.certificate);
  const std::string other_key = WriteTemporary("k.pem", authority.Issue("other").key);
  const std::string text = WriteTemporary("text", "these two words are no token");
  const BadSetting kCases[] = {
      {"no_ca", {{"ATTN_TLS_CA", "/no/such"}}, "ATTN_TLS_CA: '/no/such' cannot be read"},
      {"ca_is_no_pem", {{"ATTN_TLS_CA", text}}, "holds no PEM certificate"},
      {"no_key", {{"ATTN_TLS_CLIENT_CERTIFICATE", certificate}}, "tls_key: not given"},
      {"no_certificate", {{"ATTN_TLS_CLIENT_KEY", other_key}}, "tls_certificate: not given"},
      {"mismatch",
       {{"ATTN_TLS_CLIENT_CERTIFICATE", certificate}, {"ATTN_TLS_CLIENT_KEY", other_key}},
       "is not the key of the first certificate"},
      {"switch", {{"ATTN_TLS", "perhaps"}}, "ATTN_TLS: 'perhaps'; allowed: 1, true, 0, false"},
      {"no_token_file", {{"ATTN_TOKEN_FILE", "/no/such"}}, "ATTN_TOKEN_FILE: '/no/such'"},
      {"token_of_two_words", {{"ATTN_TOKEN_FILE", text}}, "printable ASCII"},
  };
  for (const BadSetting& bad : kCases) {
    std::vector<std::unique_ptr<ScopedVariable>> variables;
    for (const auto& [name, value] : bad.variables) {
      variables.push_back(std::make_unique<ScopedVariable>(name, value));
    }
    const absl::Status status = AttentionClient::Create({.server = "a:1"}).status();
    EXPECT_THAT(std::string(status.message()), HasSubstr(bad.words)) << bad.name;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("two words"))) << "shows a secret";
  }
}

TEST(ConnectionAdvice, KnowsTheWordsOfGrpc) {
  EXPECT_THAT(std::string(ConnectionAdvice("... certificate verify failed")), HasSubstr("tls_ca"));
  EXPECT_THAT(std::string(ConnectionAdvice("Received RST_STREAM with error code 11")),
              HasSubstr("call again"));
  EXPECT_EQ(ConnectionAdvice("Connection refused"), "");
}

}  // namespace
}  // namespace attn
