// TLS, admin access and readiness through the flags of the real programs.
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/server_process.h"
#include "tests/support/certificates.h"

namespace attn {
namespace {

using ::testing::HasSubstr;

constexpr int kExitFailed = 1;
constexpr int kExitMistake = 2;
constexpr int kExitUnreachable = 3;

// A folder of certificates and a token.
class SecurityTest : public ::testing::Test {
 protected:
  SecurityTest() {
    std::string folder = (std::filesystem::temp_directory_path() / "attnd-test-XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr) std::abort();
    folder_ = folder;
    Write("ca.pem", authority_.certificate());
    Install("server");
    Install("client");
    Write("token", "a-secret-of-this-test\n");
  }
  ~SecurityTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  void Write(const std::string& name, const std::string& text) const {
    WriteFileAtomically(Path(name), text);
  }
  void Install(const std::string& name) const { Install(name, authority_.Issue(name)); }
  void Install(const std::string& name, const IssuedCertificate& issued) const {
    Write(name + ".pem", issued.certificate);
    Write(name + ".key", issued.key);
  }

  std::vector<std::string> ServerTls() const {
    return {"--tls_certificate", Path("server.pem"), "--tls_key", Path("server.key")};
  }

  static ProcessOutput Attn(const std::string& server, std::vector<std::string> arguments,
                            const Process::Environment& environment = {}) {
    arguments.insert(arguments.begin(), {"--server", server, "--timeout", "20s"});
    return RunProgram("attn", arguments, environment);
  }

  const TestAuthority authority_;

 private:
  std::string folder_;
};

TEST_F(SecurityTest, CallsGoOverTls) {
  const ServerProcess server(ServerTls());
  const std::vector<std::string> load = {"load",     "--shape", "1x2x16x8", "--requests",  "3",
                                         "--warmup", "0",       "--tls_ca", Path("ca.pem")};
  const ProcessOutput loaded = Attn(server.tcp(), load);
  EXPECT_EQ(loaded.exit_code, 0) << loaded.err;
  // By variables as well, which `attn scope` hands to its command.
  const ProcessOutput scope =
      Attn(server.tcp(), {"--tls_ca", Path("ca.pem"), "scope", "--backend", "eager", "--",
                          std::string(ATTN_BIN_DIR) + "/attn", "backends"});
  EXPECT_EQ(scope.exit_code, 0) << scope.err;
  EXPECT_EQ(Attn(server.tcp(), {"health"}, {{"ATTN_TLS_CA", Path("ca.pem")}}).exit_code, 0);
  EXPECT_EQ(Attn(server.unix_socket(), {"health"}).exit_code, 0) << "sockets go without";
}

TEST_F(SecurityTest, WhatDoesNotFitIsSaidClearly) {
  const ServerProcess server(ServerTls());
  const ProcessOutput plain = Attn(server.tcp(), {"health"});
  EXPECT_EQ(plain.exit_code, kExitUnreachable);
  EXPECT_THAT(plain.err, HasSubstr("it wants TLS"));
  const TestAuthority other;
  Write("other.pem", other.certificate());
  const ProcessOutput untrusted = Attn(server.tcp(), {"health", "--tls_ca", Path("other.pem")});
  EXPECT_EQ(untrusted.exit_code, kExitUnreachable);
  EXPECT_THAT(untrusted.err, HasSubstr("no authority trusted here (tls_ca)"));
  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{"--tls_ca", Path("missing.pem")},
        {"--tls_ca", Path("token")},
        {"--tls_certificate", Path("client.pem")},
        {"--tls_certificate", Path("client.pem"), "--tls_key", Path("server.key")},
        {"--token_file", Path("missing")}}) {
    std::vector<std::string> arguments = {"health"};
    arguments.insert(arguments.end(), wrong.begin(), wrong.end());
    const ProcessOutput refused = Attn(server.tcp(), arguments);
    EXPECT_EQ(refused.exit_code, kExitMistake) << wrong.back();
    EXPECT_TRUE(absl::StrContains(refused.err, wrong[wrong.size() - 2].substr(2)) ||
                absl::StrContains(refused.err, "tls_key"))
        << refused.err;
  }
}

TEST_F(SecurityTest, MutualTlsAdmitsAdminsOnEveryInterface) {
  std::vector<std::string> arguments = ServerTls();
  for (const std::string& more : {std::string("--tls_client_ca"), Path("ca.pem"),
                                  std::string("--listen"), std::string("0.0.0.0:0")}) {
    arguments.push_back(more);
  }
  const ServerProcess server(arguments);
  ASSERT_EQ(server.listen().size(), 3U);
  const std::string wide = "127.0.0.1" + server.listen()[2].substr(server.listen()[2].rfind(':'));
  const ProcessOutput without = Attn(wide, {"health", "--tls_ca", Path("ca.pem")});
  EXPECT_EQ(without.exit_code, kExitUnreachable);
  EXPECT_THAT(without.err, HasSubstr("client certificate"));
  const ProcessOutput admin = Attn(wide, {"policy", "--tls_ca", Path("ca.pem"), "--tls_certificate",
                                          Path("client.pem"), "--tls_key", Path("client.key")});
  EXPECT_EQ(admin.exit_code, 0) << admin.err;
}

TEST_F(SecurityTest, CertificatesAreReadAgainWhileItRuns) {
  ServerProcess server(ServerTls());
  const auto health = [&](const std::string& ca) {
    return Attn(server.tcp(), {"health", "--tls_ca", Path(ca)}).exit_code;
  };
  EXPECT_EQ(health("ca.pem"), 0);
  Write("server.key", authority_.Issue("another").key);
  EXPECT_EQ(health("ca.pem"), 0) << "a key that does not match leaves the old pair in use";
  const TestAuthority successor;
  Write("successor.pem", successor.certificate());
  Install("server", successor.Issue("server"));
  EXPECT_EQ(health("successor.pem"), 0);
  EXPECT_EQ(health("ca.pem"), kExitUnreachable);
  const ProcessOutput output = server.Stop();
  EXPECT_EQ(output.exit_code, 0);
  EXPECT_THAT(output.err, HasSubstr("is not the key of the first certificate"));
}

TEST_F(SecurityTest, KeyThatDoesNotMatchStopsTheStart) {
  Write("server.key", authority_.Issue("another").key);
  for (const bool check_only : {false, true}) {
    std::vector<std::string> arguments = ServerTls();
    arguments.insert(arguments.end(), {"--listen", "127.0.0.1:0", "--metrics_listen", "off"});
    if (check_only) arguments.push_back("--check_config");
    const ProcessOutput output = RunProgram("attnd", arguments);
    EXPECT_EQ(output.exit_code, kExitMistake);
    EXPECT_THAT(output.err, HasSubstr("tls_key"));
    EXPECT_THAT(output.err, HasSubstr("name the key that it was issued for"));
  }
}

TEST_F(SecurityTest, AdminNeedsTheTokenWhereStrangersMayBe) {
  const ServerProcess server(
      {"--listen", "0.0.0.0:0", "--admin_token_file", Path("token"), "--unix_mode", "0666"});
  ASSERT_EQ(server.listen().size(), 3U);
  const std::string wide = "127.0.0.1" + server.listen()[2].substr(server.listen()[2].rfind(':'));
  Write("wrong", "another-secret-than-theirs");
  for (const std::string& address : {wide, server.unix_socket()}) {
    const ProcessOutput stranger = Attn(address, {"force", "eager"});
    EXPECT_EQ(stranger.exit_code, kExitFailed);
    EXPECT_THAT(stranger.err, HasSubstr("PERMISSION_DENIED"));
    EXPECT_THAT(stranger.err, HasSubstr("loopback"));
    EXPECT_EQ(Attn(address, {"policy", "--token_file", Path("wrong")}).exit_code, kExitFailed);
    const ProcessOutput admin = Attn(address, {"policy", "--token_file", Path("token")});
    EXPECT_EQ(admin.exit_code, 0) << admin.err;
    EXPECT_EQ(Attn(address, {"policy"}, {{"ATTN_TOKEN_FILE", Path("token")}}).exit_code, 0);
    EXPECT_EQ(Attn(address, {"backends"}).exit_code, 0) << "callers need none";
  }
  const ProcessOutput local = Attn(server.tcp(), {"log", "debug"});
  EXPECT_EQ(local.exit_code, 0) << local.err;
  EXPECT_THAT(local.out, HasSubstr("before: info"));
  struct stat status {};
  ASSERT_EQ(stat(server.unix_socket().substr(5).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0666U);
}

TEST_F(SecurityTest, AdminIsOffWhereTheOperatorSaysSo) {
  const ServerProcess server({"--admin", "off"});
  const ProcessOutput refused = Attn(server.unix_socket(), {"policy"});
  EXPECT_EQ(refused.exit_code, kExitFailed);
  EXPECT_THAT(refused.err, HasSubstr("admin: off"));
}

TEST_F(SecurityTest, IsNotReadyWhileEveryBackendIsQuarantined) {
  const ServerProcess server;
  const auto client = server.Connect();
  const auto becomes = [&](const std::string& health) {
    for (int i = 0; i < 1000; ++i) {
      if (*client->CheckHealth("readiness") == health) return true;
      absl::SleepFor(absl::Milliseconds(10));
    }
    return false;
  };
  EXPECT_TRUE(becomes("SERVING"));
  const auto backends = client->ListBackends();
  ASSERT_TRUE(backends.ok());
  for (const auto& backend : backends->backends()) {
    ASSERT_TRUE(client->QuarantineBackend(backend.name(), "a test").ok()) << backend.name();
  }
  EXPECT_TRUE(becomes("NOT_SERVING"));
  EXPECT_EQ(server.Attn({"health"}).exit_code, kExitFailed);
  EXPECT_EQ(server.Attn({"health", "--service", "liveness"}).exit_code, 0);
  ASSERT_TRUE(client->ReleaseBackend("eager").ok());
  EXPECT_TRUE(becomes("SERVING"));
}

}  // namespace
}  // namespace attn
