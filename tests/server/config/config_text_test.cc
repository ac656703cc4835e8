#include "server/config/config_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "server/config/config_keys.h"
#include "tests/server/config/load_server_config.h"
#include "tests/server/config/temporary_file.h"

namespace attn {
namespace {

using testing::HasSubstr;

// What is printed and read back is what was printed.
void ExpectRoundTrip(const ServerOptions& options) {
  const TemporaryFile file("printed.yaml", PrintedConfig({options, {}, {}}));
  const auto read = LoadServerConfig({file.path(), {}, {}});
  ASSERT_TRUE(read.ok()) << read.status() << "\n" << PrintedConfig({options, {}, {}});
  for (const ConfigKey& key : ConfigKeys()) {
    EXPECT_EQ(TextsOf(key, read->options), TextsOf(key, options)) << std::string(key.name);
    EXPECT_NE(read->OriginOf(key.name), "default") << std::string(key.name);
  }
}

TEST(PrintedConfigTest, DefaultsReadBackAreTheSame) { ExpectRoundTrip(ServerOptions()); }

TEST(PrintedConfigTest, OddTextReadBackIsTheSame) {
  ServerOptions options;
  options.listen = {"[::1]:0", "unix:/run/it's \"odd\"\\a.sock", "0.0.0.0:1"};
  options.metrics_listen = "off";
  options.presets = "/a: b # c\n\td'e\xc3\xa9.yaml";
  options.unix_mode = 0666;
  options.warmup = false;
  options.log_format = "json";
  options.force_backend = "auto";
  options.max_admitted_batch_bytes = 17;
  ExpectRoundTrip(options);
}

TEST(PrintedConfigTest, RelativePathsBecomeAbsolute) {
  ServerOptions options;
  options.presets = "p.yaml";
  options.listen = {"unix:a.sock"};
  const std::string text = PrintedConfig({options, {}, {}});
  EXPECT_THAT(text, HasSubstr("presets: \"/"));
  EXPECT_THAT(text, HasSubstr("- \"unix:/"));
}

TEST(PrintedConfigTest, SaysWhereEachValueComesFrom) {
  ServerConfig config;
  config.origins = {{"workers", "--workers"}, {"admin", "ATTN_ADMIN"}, {"listen", "a.yaml:3"}};
  const std::vector<std::string> lines = absl::StrSplit(PrintedConfig(config), '\n');
  for (const char* line :
       {"workers: 0  # --workers", "admin: local  # ATTN_ADMIN", "listen:  # a.yaml:3",
        "  - \"localhost:8601\"", "unix_mode: \"0600\"  # default"}) {
    EXPECT_THAT(lines, testing::Contains(line));
  }
}

TEST(HelpTextTest, NamesEveryKeyWithItsDefaultWithinTheWidth) {
  const std::string help = HelpText();
  for (const ConfigKey& key : ConfigKeys()) {
    EXPECT_THAT(help, HasSubstr(absl::StrCat("\n  --", key.name, " ", key.value)));
  }
  EXPECT_THAT(help, HasSubstr("[localhost:8601]"));
  for (const absl::string_view line : absl::StrSplit(help, '\n'))
    EXPECT_LE(line.size(), 100u) << line;
}

}  // namespace
}  // namespace attn
