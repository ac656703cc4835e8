// Which listeners answer admin calls, and to whom.
#include <sys/stat.h>

#include <memory>
#include <ostream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/services/server_fixture.h"
#include "tests/support/certificates.h"

namespace attn {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kToken[] = "a-token-of-some-length";

// Every admin call; OK, or the first that failed.
absl::Status EveryAdminCall(AttentionClient& client) {
  absl::Status first;
  const auto note = [&first](const absl::Status& status) { first.Update(status); };
  note(client.GetPolicy().status());
  note(client.SetForcedOverride("eager").status());
  note(client.ClearForcedOverride().status());
  note(client.QuarantineBackend("eager", "a test").status());
  note(client.ReleaseBackend("eager").status());
  note(client.SetLogLevel("debug").status());
  attention::v1::HoldScopeRequest scope;
  scope.set_backend("eager");
  const auto held = client.HoldScope(scope, /*process=*/true);
  note(held.ok() ? (*held)->End() : held.status());
  return first;
}

// How many of them were refused with PERMISSION_DENIED.
int DeniedAdminCalls(AttentionClient& client) {
  int denied = 0;
  const auto note = [&denied](const absl::Status& status) {
    denied += absl::IsPermissionDenied(status) ? 1 : 0;
  };
  note(client.GetPolicy().status());
  note(client.SetForcedOverride("eager").status());
  note(client.ClearForcedOverride().status());
  note(client.QuarantineBackend("eager", "a test").status());
  note(client.ReleaseBackend("eager").status());
  note(client.SetLogLevel("debug").status());
  attention::v1::HoldScopeRequest scope;
  scope.set_backend("eager");
  note(client.HoldScope(scope, /*process=*/true).status());
  return denied;
}
constexpr int kAdminCalls = 7;

struct AccessCase {
  std::string name;
  std::string address;  // `unix:` = a socket of the test's folder
  AdminAccess admin;
  mode_t unix_mode;
  std::string server_token;
  std::string client_token;
  bool allowed;
};

void PrintTo(const AccessCase& access, std::ostream* out) { *out << access.name; }

class AdminAccessTest : public ::testing::TestWithParam<AccessCase> {};

constexpr AdminAccess kLocal = AdminAccess::kLocal;
constexpr AdminAccess kOff = AdminAccess::kOff;
constexpr AdminAccess kAll = AdminAccess::kAll;

TEST_P(AdminAccessTest, DependsOnListenerAndToken) {
  const AccessCase& access = GetParam();
  ServerParts parts;
  ListenOptions options;
  options.addresses = {access.address == "unix:" ? "unix:" + parts.Path("a.sock") : access.address};
  options.admin = access.admin;
  options.unix_mode = access.unix_mode;
  options.admin_token = access.server_token;
  const auto server = parts.Start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  std::string address = (*server)->addresses()[0];
  if (access.address != "unix:") address = OverLoopback(address);
  const auto client = ConnectOnce(address, {}, access.client_token);
  if (access.allowed) {
    EXPECT_EQ(EveryAdminCall(*client), absl::OkStatus());
    EXPECT_EQ(parts.log_level(), "debug");
    return;
  }
  EXPECT_EQ(DeniedAdminCalls(*client), kAdminCalls);
  EXPECT_TRUE(parts.policy().Snapshot()->scopes.empty());
  EXPECT_FALSE(parts.policy().Snapshot()->forced.has_value());
  EXPECT_EQ(parts.log_level(), "info");
  const std::string message(client->GetPolicy().status().message());
  EXPECT_THAT(message, Not(HasSubstr(address.substr(address.find(':') + 1)))) << "leaks an address";
  EXPECT_THAT(message, Not(HasSubstr(kToken)));
  // Who may not steer the server may still use it.
  EXPECT_TRUE(client->ListBackends().ok());
  EXPECT_EQ(*client->CheckHealth("liveness"), "SERVING");
  attention::v1::HoldScopeRequest scope;
  scope.set_backend("eager");
  EXPECT_TRUE(client->HoldScope(scope, /*process=*/false).ok());
}

INSTANTIATE_TEST_SUITE_P(
    Listeners, AdminAccessTest,
    ::testing::Values(
        AccessCase{"loopback", "127.0.0.1:0", kLocal, 0600, "", "", true},
        AccessCase{"loopback_off", "127.0.0.1:0", kOff, 0600, kToken, kToken, false},
        AccessCase{"private_socket", "unix:", kLocal, 0600, "", "", true},
        AccessCase{"private_socket_off", "unix:", kOff, 0600, "", "", false},
        AccessCase{"wide_socket", "unix:", kLocal, 0666, "", "", false},
        AccessCase{"group_socket", "unix:", kLocal, 0660, kToken, "", false},
        AccessCase{"group_socket_token", "unix:", kLocal, 0660, kToken, kToken, true},
        AccessCase{"every_interface", "0.0.0.0:0", kLocal, 0600, "", "", false},
        AccessCase{"every_interface_all", "0.0.0.0:0", kAll, 0600, "", "", true},
        AccessCase{"every_interface_token", "0.0.0.0:0", kLocal, 0600, kToken, kToken, true},
        AccessCase{"no_token_brought", "0.0.0.0:0", kLocal, 0600, kToken, "", false},
        AccessCase{"wrong_token", "0.0.0.0:0", kLocal, 0600, kToken, "a-token-of-some-lengtH",
                   false},
        AccessCase{"beginning_of_the_token", "0.0.0.0:0", kLocal, 0600, kToken, "a-token", false},
        AccessCase{"token_nobody_set", "0.0.0.0:0", kLocal, 0600, "", kToken, false}),
    [](const auto& test) { return test.param.name; });

// The listener counts, not the peer: both connections come from 127.0.0.1.
TEST(AdminAccess, IsToldApartByListenerOfOneServer) {
  ServerParts parts;
  ListenOptions options;
  options.addresses = {"0.0.0.0:0", "127.0.0.1:0", "unix:" + parts.Path("a.sock")};
  const auto server = parts.Start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  const std::vector<std::string>& addresses = (*server)->addresses();
  ASSERT_EQ(addresses.size(), 3U);
  EXPECT_THAT(addresses[0], HasSubstr("0.0.0.0:"));
  EXPECT_EQ(DeniedAdminCalls(*ConnectOnce(OverLoopback(addresses[0]))), kAdminCalls);
  EXPECT_EQ(EveryAdminCall(*ConnectOnce(addresses[1])), absl::OkStatus());
  EXPECT_EQ(EveryAdminCall(*ConnectOnce(addresses[2])), absl::OkStatus());
}

TEST(AdminAccess, IsOpenToAVerifiedCertificate) {
  ServerParts parts;
  const TestAuthority authority;
  ListenOptions options;
  options.addresses = {"0.0.0.0:0"};
  options.tls = {parts.Path("server.pem"), parts.Path("server.key"), ""};
  const std::string ca = parts.Path("ca.pem");
  WriteFileAtomically(ca, authority.certificate());
  const IssuedCertificate issued = authority.Issue("server");
  WriteFileAtomically(options.tls.certificate, issued.certificate);
  WriteFileAtomically(options.tls.key, issued.key);
  // A client's certificate that nobody asked for and verified is none.
  const ClientTls identity = {
      .ca = ca, .certificate = options.tls.certificate, .key = options.tls.key};
  {
    const auto server = parts.Start(options);
    ASSERT_TRUE(server.ok()) << server.status();
    const std::string address = OverLoopback((*server)->addresses()[0]);
    EXPECT_EQ(DeniedAdminCalls(*ConnectOnce(address, identity)), kAdminCalls);
  }
  ServerParts others;
  options.tls.client_ca = ca;
  const auto server = others.Start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(EveryAdminCall(*ConnectOnce(OverLoopback((*server)->addresses()[0]), identity)),
            absl::OkStatus());
}

TEST(UnixSockets, HaveTheirModeFromTheStart) {
  for (const mode_t mode : {0600, 0660, 0666}) {
    ServerParts parts;
    ListenOptions options;
    options.addresses = {"unix:" + parts.Path("a.sock")};
    options.unix_mode = mode;
    const auto server = parts.Start(options);
    ASSERT_TRUE(server.ok()) << server.status();
    struct stat status {};
    ASSERT_EQ(stat(parts.Path("a.sock").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, mode);
  }
}

TEST(AdminService, RefusesAnUnknownLogLevel) {
  ServerParts parts;
  ListenOptions options;
  options.addresses = {"unix:" + parts.Path("a.sock")};
  const auto server = parts.Start(options);
  ASSERT_TRUE(server.ok());
  const auto client = ConnectOnce((*server)->addresses()[0]);
  EXPECT_EQ(client->SetLogLevel("loud").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(client->SetLogLevel("debug").value(), "info");
}

}  // namespace
}  // namespace attn
