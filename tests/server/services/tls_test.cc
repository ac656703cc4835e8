// TLS of listeners: trust, its absence, and files that change while the server runs.
#include <vector>

#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/services/tls_credentials.h"
#include "tests/server/services/server_fixture.h"
#include "tests/support/certificates.h"

namespace attn {
namespace {

using ::testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() {
    WriteFileAtomically(ca_, authority_.certificate());
    Install(authority_.Issue("server"));
  }

  void Install(const IssuedCertificate& issued) {
    WriteFileAtomically(files_.certificate, issued.certificate);
    WriteFileAtomically(files_.key, issued.key);
  }

  // Of the client, with a certificate of its own.
  ClientTls ClientIdentity(const TestAuthority& authority) {
    const IssuedCertificate issued = authority.Issue("client");
    WriteFileAtomically(parts_.Path("client.pem"), issued.certificate);
    WriteFileAtomically(parts_.Path("client.key"), issued.key);
    return {.ca = ca_, .certificate = parts_.Path("client.pem"), .key = parts_.Path("client.key")};
  }

  std::unique_ptr<Server> StartServer(const std::string& address = "127.0.0.1:0") {
    ListenOptions options;
    options.addresses = {address};
    options.tls = files_;
    options.tls_reloaded = [this](const absl::Status& status) {
      absl::MutexLock lock(&mutex_);
      reloads_.push_back(status);
    };
    absl::StatusOr<std::unique_ptr<Server>> server = parts_.Start(options);
    EXPECT_TRUE(server.ok()) << server.status();
    return *std::move(server);
  }

  absl::Status Call(const Server& server, const ClientTls& tls) {
    return ConnectOnce(OverLoopback(server.addresses()[0]), tls)->ListBackends().status();
  }

  std::vector<absl::Status> reloads() {
    absl::MutexLock lock(&mutex_);
    return reloads_;
  }

  ServerParts parts_;
  const TestAuthority authority_;
  const std::string ca_ = parts_.Path("ca.pem");
  TlsFiles files_{parts_.Path("server.pem"), parts_.Path("server.key"), ""};
  absl::Mutex mutex_;
  std::vector<absl::Status> reloads_;
};

TEST_F(TlsTest, ServesClientsThatTrustItsAuthority) {
  const auto server = StartServer();
  EXPECT_EQ(Call(*server, {.ca = ca_}), absl::OkStatus());
  EXPECT_EQ(Call(*server, {.ca = ca_, .server_name = "localhost"}), absl::OkStatus());
}

TEST_F(TlsTest, ClientRefusesAServerOfAnotherAuthorityOrName) {
  const auto server = StartServer();
  const TestAuthority other;
  WriteFileAtomically(parts_.Path("other.pem"), other.certificate());
  const absl::Status untrusted = Call(*server, {.ca = parts_.Path("other.pem")});
  EXPECT_TRUE(IsUnreachable(untrusted)) << untrusted;
  EXPECT_THAT(Message(untrusted), HasSubstr("certificate"));
  EXPECT_THAT(Message(untrusted), HasSubstr("tls_ca"));
  const absl::Status misnamed = Call(*server, {.ca = ca_, .server_name = "elsewhere"});
  EXPECT_TRUE(IsUnreachable(misnamed)) << misnamed;
  EXPECT_THAT(Message(misnamed), HasSubstr("tls_server_name"));
}

TEST_F(TlsTest, PlaintextAndTlsDoNotMeet) {
  const auto server = StartServer();
  const absl::Status plain = Call(*server, {});
  EXPECT_TRUE(IsUnreachable(plain)) << plain;
  EXPECT_THAT(Message(plain), HasSubstr("TLS"));
  ListenOptions options;
  options.addresses = {"127.0.0.1:0"};
  ServerParts parts;
  const auto plain_server = parts.Start(options);
  ASSERT_TRUE(plain_server.ok());
  const absl::Status secure = Call(**plain_server, {.ca = ca_});
  EXPECT_TRUE(IsUnreachable(secure)) << secure;
  EXPECT_THAT(Message(secure), HasSubstr("TLS"));
}

TEST_F(TlsTest, MutualTlsAsksForACertificateOfItsAuthority) {
  files_.client_ca = ca_;
  const auto server = StartServer();
  EXPECT_EQ(Call(*server, ClientIdentity(authority_)), absl::OkStatus());
  const absl::Status without = Call(*server, {.ca = ca_});
  EXPECT_TRUE(IsUnreachable(without)) << without;
  EXPECT_THAT(Message(without), HasSubstr("client certificate"));
  const absl::Status foreign = Call(*server, ClientIdentity(TestAuthority()));
  EXPECT_TRUE(IsUnreachable(foreign)) << foreign;
  EXPECT_THAT(Message(foreign), HasSubstr("tls_certificate"));
}

TEST_F(TlsTest, UnixSocketsGoWithout) {
  const auto server = StartServer("unix:" + parts_.Path("a.sock"));
  EXPECT_TRUE(ConnectOnce(server->addresses()[0])->ListBackends().ok());
  EXPECT_TRUE(ConnectOnce(server->addresses()[0], {.ca = ca_})->ListBackends().ok());
}

TEST_F(TlsTest, NewFilesServeTheNextConnection) {
  const auto server = StartServer();
  const auto connected = ConnectOnce(server->addresses()[0], {.ca = ca_});
  ASSERT_TRUE(connected->ListBackends().ok());
  const TestAuthority successor;
  WriteFileAtomically(parts_.Path("new_ca.pem"), successor.certificate());
  Install(successor.Issue("server"));
  EXPECT_EQ(Call(*server, {.ca = parts_.Path("new_ca.pem")}), absl::OkStatus());
  EXPECT_FALSE(Call(*server, {.ca = ca_}).ok());
  EXPECT_TRUE(connected->ListBackends().ok()) << "an open connection keeps its certificate";
  EXPECT_THAT(reloads(), ::testing::ElementsAre(absl::OkStatus()));
}

TEST_F(TlsTest, BadNewFilesLeaveTheOldInUse) {
  const auto server = StartServer();
  ASSERT_TRUE(Call(*server, {.ca = ca_}).ok());
  WriteFileAtomically(files_.key, authority_.Issue("another").key);
  EXPECT_EQ(Call(*server, {.ca = ca_}), absl::OkStatus());
  EXPECT_EQ(Call(*server, {.ca = ca_}), absl::OkStatus());
  ASSERT_EQ(reloads().size(), 1U) << "the same files were read again";
  EXPECT_THAT(Message(reloads()[0]), HasSubstr("tls_key"));
  Install(authority_.Issue("server"));
  EXPECT_EQ(Call(*server, {.ca = ca_}), absl::OkStatus());
  EXPECT_EQ(reloads().back(), absl::OkStatus());
}

TEST_F(TlsTest, CheckNamesTheKeyTheFileAndTheCure) {
  EXPECT_EQ(CheckTlsFiles({}), absl::OkStatus());
  EXPECT_EQ(CheckTlsFiles(files_), absl::OkStatus());
  const auto write = [this](const std::string& name, const std::string& text) {
    WriteFileAtomically(parts_.Path(name), text);
    return parts_.Path(name);
  };
  const IssuedCertificate other = authority_.Issue("other");
  const struct {
    const char* name;
    TlsFiles files;
    std::vector<std::string> words;
  } kCases[] = {
      {"no_such_file", {"/no/such.pem", files_.key, ""}, {"tls_certificate", "/no/such.pem"}},
      {"a_folder", {files_.certificate, "/", ""}, {"tls_key", "not a file"}},
      {"no_pem", {write("text", "hello"), files_.key, ""}, {"tls_certificate", "no PEM"}},
      {"key_is_a_certificate", {files_.certificate, ca_, ""}, {"tls_key", "no PEM private key"}},
      {"mismatch", {files_.certificate, write("k", other.key), ""}, {"tls_key", "tls_certificate"}},
      {"cut_off",
       {write("cut", other.certificate + other.certificate.substr(0, 200)), write("k", other.key),
        ""},
       {"tls_certificate", "damaged"}},
      {"three_missing",
       {"/no/c.pem", "/no/k.pem", "/no/ca.pem"},
       {"tls_certificate: '/no/c.pem'", "\ntls_key: '/no/k.pem'", "\ntls_client_ca: '/no/ca.pem'"}},
      {"certificate_alone", {"/no/c.pem", "", "/no/ca.pem"}, {"tls_certificate", "tls_client_ca"}},
      {"key_alone", {"", ca_, ""}, {"tls_key", "no PEM private key"}},
      {"no_client_ca",
       {files_.certificate, files_.key, write("text", "hello")},
       {"tls_client_ca", "no PEM"}},
  };
  for (const auto& bad : kCases) {
    const std::string message = Message(CheckTlsFiles(bad.files));
    for (const std::string& word : bad.words) EXPECT_THAT(message, HasSubstr(word)) << bad.name;
  }
  EXPECT_THAT(Message(ReadTlsFiles({files_.certificate, "", ""}).status()),
              HasSubstr("tls_key: not given"));
  EXPECT_THAT(Message(ReadTlsFiles({"", "", ca_}).status()),
              HasSubstr("tls_certificate: not given"));
  Install(authority_.Issue("server", -absl::Hours(1)));
  EXPECT_THAT(Message(CheckTlsFiles(files_)), HasSubstr("expired"));
}

TEST_F(TlsTest, FilesThatCannotBeUsedStopTheStart) {
  WriteFileAtomically(files_.key, authority_.Issue("another").key);
  ListenOptions options;
  options.addresses = {"127.0.0.1:0"};
  options.tls = files_;
  EXPECT_THAT(Message(parts_.Start(options).status()), HasSubstr("tls_key"));
}

}  // namespace
}  // namespace attn
