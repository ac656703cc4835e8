#include "server/config/server_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/server/config/status_lines.h"
#include "tests/server/config/temporary_file.h"

namespace attn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

TEST(LoadServerOptionsTest, ShippedFileGivesTheDefaultsAndThePresets) {
  const std::string folder = std::string(ATTN_SOURCE_DIR) + "/config/";
  const auto options = LoadServerOptions(folder + "server.yaml");
  ASSERT_TRUE(options.ok()) << options.status();
  const ServerOptions defaults;
  EXPECT_EQ(options->listen, defaults.listen);
  EXPECT_EQ(options->metrics_listen, defaults.metrics_listen);
  EXPECT_EQ(options->presets, folder + "attention_config.yaml");
  EXPECT_EQ(options->force_backend, defaults.force_backend);
  EXPECT_EQ(options->workers, defaults.workers);
  EXPECT_EQ(options->max_waiting_calls, defaults.max_waiting_calls);
  EXPECT_EQ(options->max_running_calls, defaults.max_running_calls);
  EXPECT_EQ(options->max_admitted_bytes, defaults.max_admitted_bytes);
  EXPECT_EQ(options->max_message_bytes, defaults.max_message_bytes);
  EXPECT_EQ(options->pool_idle_bytes, defaults.pool_idle_bytes);
  EXPECT_EQ(options->drain_limit_ms, defaults.drain_limit_ms);
  EXPECT_TRUE(Validate(*options).ok());
}

TEST(LoadServerOptionsTest, ReadsEveryKey) {
  const TemporaryFile file("server.yaml",
                           "listen: ['[::1]:0', 'unix:/run/a.sock']\n"
                           "metrics_listen: off\n"
                           "presets: /etc/presets.yaml\n"
                           "force_backend: FLASH_ATTN\n"
                           "workers: 3\n"
                           "max_waiting_calls: 4\n"
                           "max_running_calls: 5\n"
                           "max_admitted_bytes: 6\n"
                           "max_message_bytes: 2147483647\n"
                           "pool_idle_bytes: 0\n"
                           "drain_limit_ms: 9\n");
  const auto options = LoadServerOptions(file.path());
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_THAT(options->listen, ElementsAre("[::1]:0", "unix:/run/a.sock"));
  EXPECT_EQ(options->metrics_listen, "off");
  EXPECT_EQ(options->presets, "/etc/presets.yaml");
  EXPECT_EQ(options->force_backend, "FLASH_ATTN");
  EXPECT_EQ(options->workers, 3);
  EXPECT_EQ(options->max_waiting_calls, 4);
  EXPECT_EQ(options->max_running_calls, 5);
  EXPECT_EQ(options->max_admitted_bytes, 6);
  EXPECT_EQ(options->max_message_bytes, 2147483647);
  EXPECT_EQ(options->pool_idle_bytes, 0);
  EXPECT_EQ(options->drain_limit_ms, 9);
}

TEST(LoadServerOptionsTest, RelativePathsStartAtTheFile) {
  const TemporaryFile file("server.yaml", "listen: ['unix:s/a.sock']\npresets: ../p.yaml\n");
  const auto options = LoadServerOptions(file.path());
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_THAT(options->listen, ElementsAre("unix:" + file.folder() + "/s/a.sock"));
  EXPECT_EQ(options->presets, testing::TempDir() + "p.yaml");
}

TEST(LoadServerOptionsTest, EmptyFileGivesTheDefaults) {
  const TemporaryFile file("server.yaml", "# nothing\n");
  const auto options = LoadServerOptions(file.path());
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->listen, ServerOptions().listen);
}

TEST(LoadServerOptionsTest, ReportsAllMistakesAtOnceInTheOrderOfLines) {
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
                           "force_backend: flsh\n"            // 11: unknown
                           "metrics_listen: unix:m.sock\n"    // 12: no TCP address
                           "presets: {a: b}\n"                // 13: type
                           "pool_idle_bytes: '7'\n"           // 14: text
                           "max_message_bytes: 4294967296\n"  // 15: range
                           "max_admitted_bytes: 1.5\n");      // 16: type
  const absl::Status status = LoadServerOptions(file.path()).status();
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
          AllOf(StartsWith(at + "11: force_backend: unknown backend 'flsh'"), HasSubstr("'flash'")),
          StartsWith(at + "12: metrics_listen: address 'unix:m.sock': "),
          at + "13: presets: expected text, here stands a mapping",
          StartsWith(at + "14: pool_idle_bytes: expected an integer"),
          at + "15: max_message_bytes: 4294967296 is out of range, allowed: 65536 to 2147483647",
          StartsWith(at + "16: max_admitted_bytes: expected an integer")));
}

TEST(LoadServerOptionsTest, RefusesFilesThatAreNoMapping) {
  const TemporaryFile file("server.yaml", "- a\n");
  EXPECT_THAT(Lines(LoadServerOptions(file.path()).status()),
              ElementsAre(file.path() + ":1: expected a mapping, here stands a list"));
}

TEST(LoadServerOptionsTest, RefusesEmptyOrScalarListen) {
  const TemporaryFile empty("server.yaml", "listen: []\n");
  EXPECT_THAT(Lines(LoadServerOptions(empty.path()).status()),
              ElementsAre(empty.path() + ":1: listen: empty, at least one address is needed"));
  const TemporaryFile scalar("server.yaml", "listen: localhost:1\n");
  EXPECT_THAT(Lines(LoadServerOptions(scalar.path()).status()),
              ElementsAre(HasSubstr("listen: expected a list of addresses")));
}

TEST(ValidateTest, DefaultsAreRight) { EXPECT_TRUE(Validate(ServerOptions()).ok()); }

TEST(ValidateTest, ReportsAllMistakesAtOnce) {
  ServerOptions options;
  options.listen = {"a:1", "nowhere", "a:1"};
  options.metrics_listen = "8602";
  options.force_backend = "NO_ATTENTION";
  options.workers = -1;
  options.max_waiting_calls = -1;
  options.max_running_calls = 5000;
  options.max_admitted_bytes = 0;
  options.max_message_bytes = int64_t{1} << 31;
  options.pool_idle_bytes = -5;
  options.drain_limit_ms = -1;
  EXPECT_THAT(
      Lines(Validate(options)),
      ElementsAre("listen: address 'nowhere': no port, expected host:port",
                  "listen: address 'a:1' is listed twice",
                  "metrics_listen: address '8602': no port, expected host:port",
                  StartsWith("force_backend: "), "workers: -1 is out of range, allowed: 0 to 1024",
                  StartsWith("max_waiting_calls: -1 is out of range"),
                  StartsWith("max_running_calls: 5000 is out of range"),
                  StartsWith("max_admitted_bytes: 0 is out of range"),
                  StartsWith("max_message_bytes: 2147483648 is out of range"),
                  StartsWith("pool_idle_bytes: -5 is out of range"),
                  StartsWith("drain_limit_ms: -1 is out of range")));
}

TEST(ValidateTest, NeedsAnAddress) {
  ServerOptions options;
  options.listen.clear();
  EXPECT_THAT(Lines(Validate(options)),
              ElementsAre("listen: empty, at least one address is needed"));
}

TEST(ValidateTest, PortZeroMayBeListedAgain) {
  ServerOptions options;
  options.listen = {"localhost:0", "localhost:0"};
  EXPECT_TRUE(Validate(options).ok());
}

}  // namespace
}  // namespace attn
