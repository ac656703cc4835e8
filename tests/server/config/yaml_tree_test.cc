#include "server/config/yaml_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "tests/server/config/temporary_file.h"

namespace attn {
namespace {

using testing::StartsWith;

TEST(YamlTreeTest, NodesKnowTheirLines) {
  const TemporaryFile file("a.yaml", "# comment\na: 1\nb:\n  - x\n  - {c: '3'}\n");
  const auto root = ReadYaml(file.path());
  ASSERT_TRUE(root.ok()) << root.status();
  ASSERT_EQ((*root)->fields.size(), 2u);
  EXPECT_EQ((*root)->fields[0].line, 2);
  const YamlNode& list = *(*root)->fields[1].value;
  ASSERT_EQ(list.items.size(), 2u);
  EXPECT_EQ(list.items[0]->line, 4);
  EXPECT_FALSE(list.items[0]->quoted);
  EXPECT_EQ(list.items[1]->fields[0].line, 5);
  EXPECT_TRUE(list.items[1]->fields[0].value->quoted);
}

TEST(YamlTreeTest, EmptyFileIsANullNode) {
  for (const std::string text : {"", "\n", "# only a comment\n"}) {
    const TemporaryFile file("a.yaml", text);
    const auto root = ReadYaml(file.path());
    ASSERT_TRUE(root.ok()) << root.status();
    EXPECT_EQ((*root)->kind, YamlNode::Kind::kNull);
  }
}

TEST(YamlTreeTest, AliasSharesItsAnchorsNode) {
  const TemporaryFile file("a.yaml", "a: &x {k: v}\nb: *x\n");
  const auto root = ReadYaml(file.path());
  ASSERT_TRUE(root.ok()) << root.status();
  EXPECT_EQ((*root)->fields[0].value, (*root)->fields[1].value);
}

TEST(YamlTreeTest, UnreadableFilesAreNotFoundByTheGivenName) {
  for (const std::string path : {"no/such/file.yaml", "."}) {
    const absl::Status status = ReadYaml(path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
    EXPECT_THAT(std::string(status.message()), StartsWith(path + ": "));
  }
}

// Nobody may ever write into it: a start, or the thread that takes signals, would wait for that.
TEST(YamlTreeTest, PipesAreRefusedInsteadOfWaitedFor) {
  const TemporaryFile beside("a.yaml", "");
  const std::string pipe = beside.folder() + "/pipe.yaml";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const absl::Status status = ReadYaml(pipe).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_EQ(status.message(), pipe + ": a pipe, expected a file");
}

struct RefusedCase {
  std::string name;
  std::string text;
  std::string mistake;  // Behind the file's name.
};

class RefusedYamlTest : public testing::TestWithParam<RefusedCase> {};

TEST_P(RefusedYamlTest, NamesLineAndReason) {
  const TemporaryFile file("a.yaml", GetParam().text);
  const absl::Status status = ReadYaml(file.path()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), StartsWith(file.path() + GetParam().mistake));
}

INSTANTIATE_TEST_SUITE_P(
    Files, RefusedYamlTest,
    testing::ValuesIn(std::vector<RefusedCase>{
        {"Unclosed", "a: 1\nb: [1, 2\n", ":3: "},
        {"Tab", "a:\n\tb: 1\n", ":2: "},
        {"Garbage", "{{{\x01\xff", ":1: "},
        {"DeepNesting", std::string(5000, '['), ":1: "},
        {"UnknownAlias", "a: *x\n", ":1: "},
        {"AliasOfItsParent", "a: 1\nb: &x [*x]\n", ":2: an alias of a node that it stands in"},
        {"SecondDocument", "a: 1\n---\nb: 2\n", ":3: a second document"},
        {"Tag", "a: 1\nb: !secret x\n", ":2: tag '!secret' has no meaning here"},
        {"ListAsKey", "a: 1\n[1, 2]: x\n", ":2: a key must be text, here stands a list"},
        {"NullAsKey", "a: 1\n~: x\n", ":2: a key must be text, here stands nothing"},
        {"TooLong", "a: " + std::string((4 << 20) + 1, 'x'), ":1: longer than 4194304 bytes"},
    }),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace attn
