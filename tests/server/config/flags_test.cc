#include "server/config/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace attn {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::StartsWith;

Flags Parse(const std::vector<std::string>& arguments) { return ParseFlags(arguments); }

TEST(FlagsTest, ValuesStandBehindASpaceOrAnEqualsSign) {
  const Flags flags =
      Parse({"--listen", "a:1", "--workers=2", "--listen=unix:/x=y", "--config", "f", "--presets",
             "", "--max_running_calls", "-1", "--force_backend="});
  EXPECT_THAT(flags.mistakes, IsEmpty());
  EXPECT_EQ(flags.config, "f");
  EXPECT_THAT(
      flags.values,
      ElementsAre(Pair("listen", "a:1"), Pair("workers", "2"), Pair("listen", "unix:/x=y"),
                  Pair("presets", ""), Pair("max_running_calls", "-1"), Pair("force_backend", "")));
  EXPECT_FALSE(flags.help || flags.version || flags.check_config || flags.print_config);
}

TEST(FlagsTest, Actions) {
  EXPECT_TRUE(Parse({"--help"}).help);
  EXPECT_TRUE(Parse({"-h"}).help);
  EXPECT_TRUE(Parse({"--version"}).version);
  EXPECT_TRUE(Parse({"--check_config"}).check_config);
  EXPECT_TRUE(Parse({"--print_config"}).print_config);
}

TEST(FlagsTest, AllMistakesAtOnce) {
  const Flags flags = Parse({"--lisen", "localhost:1", "serve", "--workers", "--presets=p",
                             "--presets=q", "-w", "--check_config=1", "--", "--xyzzyxyzzyxyzzy=3",
                             "--config=", "--config=a", "--config=b", "--drain_limit_ms"});
  EXPECT_THAT(
      flags.mistakes,
      ElementsAre(AllOf(StartsWith("unknown flag '--lisen'"), HasSubstr("mean '--listen'?")),
                  StartsWith("unexpected argument 'serve'"), "--workers: needs a value",
                  "--presets: given twice", StartsWith("unexpected argument '-w'"),
                  "--check_config: takes no value", StartsWith("unexpected argument '--'"),
                  "unknown flag '--xyzzyxyzzyxyzzy'; attnd --help lists them",
                  "--config: needs the path of a file", "--config: given twice",
                  "--drain_limit_ms: needs a value"));
}

}  // namespace
}  // namespace attn
