#include "server/config/server_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "server/config/config_keys.h"
#include "tests/server/config/load_server_config.h"
#include "tests/server/config/status_lines.h"
#include "tests/server/config/temporary_file.h"

namespace attn {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

using Pairs = std::vector<std::pair<std::string, std::string>>;

TEST(ShippedFileTest, GivesTheDefaultOfEveryKey) {
  const std::string folder = std::string(ATTN_SOURCE_DIR) + "/config/";
  const auto config = LoadServerConfig({folder + "server.yaml", {}, {}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->warnings, IsEmpty());
  for (const ConfigKey& key : ConfigKeys()) {
    SCOPED_TRACE(std::string(key.name));
    EXPECT_THAT(config->OriginOf(key.name), StartsWith(folder + "server.yaml:"))
        << "config/server.yaml shows every key";
    if (key.name == "presets") continue;
    EXPECT_EQ(TextsOf(key, config->options), TextsOf(key, ServerOptions()));
  }
  EXPECT_EQ(config->options.presets, folder + "attention_config.yaml");
}

// A value of every key that is not its default.
const std::vector<std::pair<std::string, std::string>>& OtherValues() {
  static const auto& values = *new std::vector<std::pair<std::string, std::string>>{
      {"listen", "127.0.0.1:1"},
      {"metrics_listen", "off"},
      {"unix_mode", "0660"},
      {"admin", "all"},
      {"admin_token_file", "/t"},
      {"tls_certificate", "/c"},
      {"tls_key", "/k"},
      {"tls_client_ca", "/ca"},
      {"max_connection_age_ms", "1000"},
      {"max_message_bytes", "65536"},
      {"max_receive_bytes", "65537"},
      {"max_concurrent_streams", "3"},
      {"presets", "/p"},
      {"force_backend", "FLASH_ATTN"},
      {"plugin_dir", "/plugins"},
      {"workers", "4"},
      {"worker_cpus", "0-3"},
      {"numa_node", "-1"},
      {"cpu_isa", "avx2"},
      {"max_waiting_calls", "5"},
      {"max_waiting_batch_calls", "6"},
      {"max_running_calls", "7"},
      {"max_admitted_bytes", "65539"},
      {"max_admitted_batch_bytes", "65538"},
      {"max_batch_calls", "10"},
      {"batch_delay_us", "11"},
      {"pool_idle_bytes", "0"},
      {"warmup", "false"},
      {"lame_duck_ms", "13"},
      {"drain_limit_ms", "14"},
      {"log_format", "json"},
      {"log_level", "debug"},
      {"slow_call_ms", "15"},
  };
  return values;
}

void ExpectOtherValues(const absl::StatusOr<ServerConfig>& config) {
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_EQ(OtherValues().size(), ConfigKeys().size()) << "a key without a row above";
  for (const auto& [name, text] : OtherValues()) {
    const ConfigKey* key = FindConfigKey(name);
    ASSERT_NE(key, nullptr) << name;
    EXPECT_THAT(TextsOf(*key, config->options), ElementsAre(text)) << name;
    if (name == "numa_node") continue;  // Its other values and worker_cpus exclude each other.
    EXPECT_NE(TextsOf(*key, ServerOptions()), std::vector<std::string>{text}) << name;
  }
}

TEST(LoadServerConfigTest, EveryKeyIsReadFromAFile) {
  std::string yaml;
  for (const auto& [name, text] : OtherValues()) {
    yaml += name + ": " + (name == "listen" ? "[" + text + "]" : text) + "\n";
  }
  const TemporaryFile file("server.yaml", yaml);
  const auto config = LoadServerConfig({file.path(), {}, {}});
  ExpectOtherValues(config);
  EXPECT_EQ(config->OriginOf("unix_mode"), file.path() + ":3");
}

TEST(LoadServerConfigTest, EveryKeyIsReadFromItsVariable) {
  Pairs variables;
  for (const auto& [name, text] : OtherValues()) {
    variables.emplace_back(VariableOf(*FindConfigKey(name)), text);
  }
  const auto config = LoadServerConfig({"", variables, {}});
  ExpectOtherValues(config);
  EXPECT_EQ(config->OriginOf("max_message_bytes"), "ATTN_MAX_MESSAGE_BYTES");
}

TEST(LoadServerConfigTest, EveryKeyIsReadFromItsFlag) {
  const auto config = LoadServerConfig({"", {}, OtherValues()});
  ExpectOtherValues(config);
  EXPECT_EQ(config->OriginOf("warmup"), "--warmup");
}

TEST(LoadServerConfigTest, NodeIsReadFromEverySource) {
  const TemporaryFile file("server.yaml", "numa_node: 1\n");
  EXPECT_EQ(LoadServerConfig({file.path(), {}, {}})->options.numa_node, 1);
  EXPECT_EQ(LoadServerConfig({"", {{"ATTN_NUMA_NODE", "1"}}, {}})->options.numa_node, 1);
  EXPECT_EQ(LoadServerConfig({"", {}, {{"numa_node", "1"}}})->options.numa_node, 1);
}

TEST(LoadServerConfigTest, FlagWinsOverVariableOverFileOverDefault) {
  const TemporaryFile file("server.yaml",
                           "listen: [a:1]\nworkers: 1\nmax_batch_calls: 1\nlog_level: error\n");
  const auto config =
      LoadServerConfig({file.path(),
                        {{"ATTN_LISTEN", "b:1,b:2"}, {"ATTN_WORKERS", "2"}, {"ATTN_ADMIN", "off"}},
                        {{"listen", "c:1"}, {"listen", "c:2"}, {"max_batch_calls", "3"}}});
  ASSERT_TRUE(config.ok()) << config.status();
  const ServerOptions& options = config->options;
  EXPECT_THAT(options.listen, ElementsAre("c:1", "c:2"));
  EXPECT_EQ(options.workers, 2);
  EXPECT_EQ(options.max_batch_calls, 3);
  EXPECT_EQ(options.log_level, "error");
  EXPECT_EQ(options.admin, "off");
  EXPECT_EQ(options.max_running_calls, ServerOptions().max_running_calls);
  EXPECT_EQ(config->OriginOf("listen"), "--listen");
  EXPECT_EQ(config->OriginOf("workers"), "ATTN_WORKERS");
  EXPECT_EQ(config->OriginOf("log_level"), file.path() + ":4");
  EXPECT_EQ(config->OriginOf("max_running_calls"), "default");
}

TEST(LoadServerConfigTest, PathsInAFileStartThereOthersWhereTheProcessRuns) {
  const TemporaryFile file("server.yaml",
                           "listen: ['unix:s/a.sock']\npresets: ../p.yaml\ntls_key: k.pem\n"
                           "admin_token_file: ''\n");
  const auto config = LoadServerConfig({file.path(), {{"ATTN_TLS_CERTIFICATE", "c.pem"}}, {}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->options.listen, ElementsAre("unix:" + file.folder() + "/s/a.sock"));
  EXPECT_EQ(config->options.presets, testing::TempDir() + "p.yaml");
  EXPECT_EQ(config->options.tls_key, file.folder() + "/k.pem");
  EXPECT_EQ(config->options.tls_certificate, "c.pem");
  EXPECT_EQ(config->options.admin_token_file, "");
}

TEST(LoadServerConfigTest, EmptyFileGivesTheDefaults) {
  const TemporaryFile file("server.yaml", "# nothing\n");
  const auto config = LoadServerConfig({file.path(), {}, {}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->options.listen, ServerOptions().listen);
  EXPECT_TRUE(config->origins.empty());
}

TEST(LoadServerConfigTest, ReportsAllMistakesOfAFileInTheOrderOfLines) {
  const TemporaryFile file("server.yaml",
                           "worker: 3\n"                      // 1: no such key
                           "max_waiting_calls: many\n"        // 2: type
                           "max_running_calls: 0\n"           // 3: range
                           "listen:\n"                        //
                           "  - localhost\n"                  // 5: no port
                           "  - [a]\n"                        // 6: type
                           "  - localhost:1\n"                //
                           "  - localhost:1\n"                // 8: twice
                           "drain_limit_ms: 1\n"              //
                           "drain_limit_ms: 2\n"              // 10: twice
                           "force_backend: [flash]\n"         // 11: type
                           "metrics_listen: unix:m.sock\n"    // 12: no TCP address
                           "presets: {a: b}\n"                // 13: type
                           "pool_idle_bytes: '7'\n"           // 14: text
                           "max_message_bytes: 4294967296\n"  // 15: range
                           "max_admitted_bytes: 1.5\n"        // 16: type
                           "warmup: yes\n"                    // 17: type
                           "unix_mode: 384\n"                 // 18: 0600 as a YAML tool rewrote it
                           "admin: lokal\n"                   // 19: unknown
                           "log_level:\n");                   // 20: nothing
  const absl::Status status = LoadServerConfig({file.path(), {}, {}}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::string at = file.path() + ":";
  EXPECT_THAT(
      Lines(status),
      ElementsAre(
          AllOf(StartsWith(at + "1: unknown key 'worker'"), HasSubstr("did you mean 'workers'?")),
          at + "2: max_waiting_calls: expected an integer from 0 to 1000000, here stands 'many'",
          at + "3: max_running_calls: 0 is out of range, allowed: 1 to 4096",
          at + "5: listen: address 'localhost': no port, expected host:port",
          at + "6: listen: expected an address, here stands a list",
          at + "8: listen: address 'localhost:1' is listed twice",
          at + "10: drain_limit_ms: stands here twice, first at line 9",
          at + "11: force_backend: expected text, here stands a list",
          StartsWith(at + "12: metrics_listen: address 'unix:m.sock': "),
          at + "13: presets: expected text, here stands a mapping",
          at + "14: pool_idle_bytes: expected an integer from 0 to 1125899906842624, here stands "
               "the text '7'",
          at + "15: max_message_bytes: 4294967296 is out of range, allowed: 65536 to 2147483647",
          StartsWith(at + "16: max_admitted_bytes: expected an integer"),
          at + "17: warmup: expected true or false, here stands 'yes'",
          at + "18: unix_mode: expected an octal mode from \"0600\" to \"0777\" in quotes, here "
               "stands '384'",
          at + "19: admin: unknown value 'lokal'; did you mean 'local'? known: off, local, all",
          at + "20: log_level: expected text, here stands nothing"));
}

TEST(LoadServerConfigTest, ReportsTheMistakesOfAllSourcesTogether) {
  const TemporaryFile file("server.yaml", "workers: -1\n");
  const absl::Status status =
      LoadServerConfig({file.path(),
                        {{"ATTN_ADMIN", "maybe"}, {"ATTN_LISTEN", "a:1,b"}, {"PATH", "/bin"}},
                        {{"workers", "2"}, {"unix_mode", "0400"}, {"tls_key", "k"}}})
          .status();
  EXPECT_THAT(Lines(status),
              ElementsAre(file.path() + ":1: workers: -1 is out of range, allowed: 0 to 1024",
                          StartsWith("ATTN_ADMIN: unknown value 'maybe'"),
                          "ATTN_LISTEN: address 'b': no port, expected host:port",
                          StartsWith("--unix_mode: expected an octal mode"),
                          StartsWith("tls_key (--tls_key), tls_certificate (default): ")));
}

TEST(LoadServerConfigTest, MissingFileIsNamedBesideTheOtherMistakes) {
  EXPECT_THAT(Lines(LoadServerConfig({"no/such.yaml", {}, {{"workers", "x"}}}).status()),
              ElementsAre(StartsWith("config: no/such.yaml: No such file or directory; --config"),
                          StartsWith("--workers: ")));
}

TEST(LoadServerConfigTest, RefusesFilesThatAreNoMapping) {
  const TemporaryFile file("server.yaml", "- a\n");
  EXPECT_THAT(Lines(LoadServerConfig({file.path(), {}, {}}).status()),
              ElementsAre(file.path() + ":1: expected a mapping, here stands a list"));
}

TEST(LoadServerConfigTest, RefusesEmptyOrScalarListen) {
  const TemporaryFile empty("server.yaml", "listen: []\n");
  EXPECT_THAT(Lines(LoadServerConfig({empty.path(), {}, {}}).status()),
              ElementsAre(empty.path() + ":1: listen: empty, at least one address is needed"));
  const TemporaryFile scalar("server.yaml", "listen: localhost:1\n");
  EXPECT_THAT(Lines(LoadServerConfig({scalar.path(), {}, {}}).status()),
              ElementsAre(HasSubstr("listen: expected a list of addresses, here stands")));
}

TEST(LoadServerConfigTest, PortZeroMayBeListedAgain) {
  EXPECT_TRUE(LoadServerConfig({"", {{"ATTN_LISTEN", "localhost:0,localhost:0"}}, {}}).ok());
}

struct VariableCase {
  std::string name;
  std::string warning;  // Part of it; empty = none.
};

class UnknownVariableTest : public testing::TestWithParam<VariableCase> {};

TEST_P(UnknownVariableTest, IsAWarningThatNamesTheNearest) {
  const auto config = LoadServerConfig({"", {{GetParam().name, "x"}}, {}});
  ASSERT_TRUE(config.ok()) << config.status();
  if (GetParam().warning.empty()) {
    EXPECT_THAT(config->warnings, IsEmpty());
  } else {
    EXPECT_THAT(config->warnings, ElementsAre(AllOf(HasSubstr("'" + GetParam().name + "'"),
                                                    HasSubstr(GetParam().warning))));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Names, UnknownVariableTest,
    testing::Values(VariableCase{"ATTN_WORKER", "'ATTN_WORKERS'"},
                    VariableCase{"ATTN_LISEN", "'ATTN_LISTEN'"},
                    VariableCase{"ATTN_SOMETHING_ELSE", "attnd --help"},
                    VariableCase{"ATTN_", "no effect"}, VariableCase{"attn_workers", ""},
                    VariableCase{"ATTN_BACKEND", ""}, VariableCase{"ATTN_CONFIG", ""},
                    VariableCase{"ATTN_SERVER", ""}, VariableCase{"ATTN_SCOPE", ""},
                    VariableCase{"ATTN_GOLDEN_DIR", ""}, VariableCase{"ATTN_PORT", ""},
                    VariableCase{"ATTN_SERVICE_HOST", ""},
                    VariableCase{"ATTN_SERVICE_PORT_GRPC", ""},
                    VariableCase{"ATTN_ADMIN_PORT_8601_TCP_ADDR", ""}),
    [](const auto& test) { return test.param.name; });

struct CombinationCase {
  std::string name;
  Pairs flags;
  std::string mistake;  // Part of the one line; empty = none.
  std::string warning;
};

class CombinationTest : public testing::TestWithParam<CombinationCase> {};

TEST_P(CombinationTest, IsRefusedOrWarnedOf) {
  const CombinationCase& row = GetParam();
  const auto config = LoadServerConfig({"", {}, row.flags});
  EXPECT_EQ(config.ok(), row.mistake.empty()) << config.status();
  if (!config.ok()) {
    EXPECT_THAT(Lines(config.status()), ElementsAre(HasSubstr(row.mistake)));
  } else if (row.warning.empty()) {
    EXPECT_THAT(config->warnings, IsEmpty());
  } else {
    EXPECT_THAT(config->warnings, ElementsAre(HasSubstr(row.warning)));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Flags, CombinationTest,
    testing::ValuesIn(std::vector<CombinationCase>{
        {"Tls", {{"tls_certificate", "c"}, {"tls_key", "k"}, {"tls_client_ca", "a"}}, "", ""},
        {"CertificateAlone", {{"tls_certificate", "c"}}, "set tls_key", ""},
        {"KeyAlone", {{"tls_key", "k"}}, "set tls_certificate", ""},
        {"ClientCaAlone", {{"tls_client_ca", "a"}}, "set tls_certificate and tls_key", ""},
        {"TlsOnSocketsAlone",
         {{"tls_certificate", "c"}, {"tls_key", "k"}, {"listen", "unix:a"}},
         "",
         "Unix sockets have no TLS"},
        {"BatchBytesAboveAll",
         {{"max_admitted_bytes", "2000000000"}, {"max_admitted_batch_bytes", "2000000001"}},
         "not 2000000001; 0 = half",
         ""},
        {"BatchBytesFollow", {{"max_admitted_bytes", "2000000000"}}, "", ""},
        {"MessageAboveReceived",
         {{"max_receive_bytes", "1073741823"}},
         "1073741823 bytes cannot hold one message of 1073741824",
         ""},
        {"ReceivedAsMessage",
         {{"max_receive_bytes", "1073741824"}},
         "",
         "at least 5368709120 leave room for both"},
        {"ReceivedAboveAdmitted", {{"max_receive_bytes", "5368709120"}}, "", ""},
        {"MessageAboveAdmitted", {{"max_admitted_bytes", "1000000"}}, "", "never fits"},
        {"ShortConnections", {{"max_connection_age_ms", "999"}}, "allowed: 0 (never) or 1000", ""},
        {"DelayWithoutCompany",
         {{"batch_delay_us", "5"}, {"max_batch_calls", "1"}},
         "",
         "max_batch_calls above 1"},
        {"AdminForAll", {{"admin", "all"}, {"listen", "0.0.0.0:1"}}, "", "steer every call"},
        {"AdminForAllHere", {{"admin", "all"}}, "", ""},
        {"TokenOpensNothing", {{"admin", "off"}, {"admin_token_file", "t"}}, "", "opens nothing"},
        {"WideSocket",
         {{"unix_mode", "0660"}, {"listen", "unix:a"}},
         "",
         "no admin calls without a token"},
        {"OwnersSocket", {{"unix_mode", "0700"}, {"admin", "all"}, {"listen", "unix:a"}}, "", ""},
        {"OwnersSocketLocal", {{"unix_mode", "0700"}, {"listen", "unix:a"}}, "", ""},
        {"TokenInClear",
         {{"admin_token_file", "t"}, {"listen", "[::]:1"}},
         "",
         "crosses the network in clear text"},
        {"OneAddressForBoth",
         {{"listen", "localhost:5"}, {"metrics_listen", "localhost:5"}},
         "metrics_listen (--metrics_listen), listen (--listen): one address for both",
         ""},
        {"AnyPortForBoth", {{"listen", "localhost:0"}, {"metrics_listen", "localhost:0"}}, "", ""},
        {"CpusListed", {{"worker_cpus", "0-1"}}, "", ""},
        {"NodeNamed", {{"numa_node", "0"}}, "", ""},
        {"CpusAndNode",
         {{"worker_cpus", "0-1"}, {"numa_node", "0"}},
         "worker_cpus (--worker_cpus), numa_node (--numa_node): each says where workers run",
         ""},
        {"SlowCallsUnseen",
         {{"slow_call_ms", "5"}, {"log_level", "error"}},
         "",
         "which this level leaves out"},
    }),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace attn
