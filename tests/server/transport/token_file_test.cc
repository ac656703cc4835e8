#include "server/transport/token_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/server/config/temporary_file.h"

namespace attn {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(TokenFileTest, IsOneLine) {
  for (const std::string text :
       {"s3cret-of-16-or-more", "s3cret-of-16-or-more\n", "s3cret-of-16-or-more\r\n"}) {
    const auto token = ReadTokenFile("key", TemporaryFile("t", text).path());
    ASSERT_TRUE(token.ok()) << token.status();
    EXPECT_EQ(*token, "s3cret-of-16-or-more");
  }
  const std::string longest(kMaxTokenBytes, 'a');
  EXPECT_EQ(ReadTokenFile("key", TemporaryFile("t", longest + "\r\n").path()).value(), longest);
}

TEST(TokenFileTest, RefusesWhatIsNoToken) {
  struct Row {
    std::string text;
    std::string mistake;
  };
  for (const Row& row : std::vector<Row>{{"", "empty"},
                                         {"\n \n", "empty"},
                                         {"s3cret-15-bytes", "at least 16"},
                                         {"s3cret of two words", "without spaces"},
                                         {"s3cret\nof two lines", "without spaces"},
                                         {"s3cret of no ASCII: \xc3\xa9", "printable ASCII"},
                                         {std::string("s3cret\0with zeros", 17), "printable ASCII"},
                                         {std::string(kMaxTokenBytes + 1, 'a'), "longer than"},
                                         {std::string(kMaxTokenBytes, 'a') + "\n\n\n", "longer"},
                                         {std::string(1 << 20, 'a'), "longer than"}}) {
    const TemporaryFile file("t", row.text);
    const absl::Status status = ReadTokenFile("key", file.path()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), StartsWith("key: "));
    EXPECT_THAT(std::string(status.message()), HasSubstr(file.path()));
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.mistake));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("s3cret"))) << "a secret in the log";
  }
  for (const char* path : {"no/such/token", "."}) {
    const absl::Status status = ReadTokenFile("key", path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("cannot be read")) << path;
  }
}

TEST(TokenTest, IsWhatMetadataCanCarry) {
  EXPECT_TRUE(CheckToken("key", "").ok());
  EXPECT_TRUE(CheckToken("key", "short").ok()) << "a server's to refuse";
  for (const std::string& token :
       {std::string("two words"), std::string(kMaxTokenBytes + 1, 'a')}) {
    EXPECT_EQ(CheckToken("key", token).code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace attn
