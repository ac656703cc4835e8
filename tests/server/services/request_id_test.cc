#include "server/services/request_id.h"

#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attn {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr char kTrace[] = "0af7651916cd43dd8448eb211c80319c";
constexpr char kTraceparent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(RequestIdTest, TheCallersOwnIsTaken) {
  for (const std::string given : {"a", "job 7/step \"3\" ~", "0"}) {
    const RequestId id = ChooseRequestId(given, kTraceparent);
    EXPECT_EQ(id.id, given);
    EXPECT_EQ(id.refused, "");
  }
  const std::string longest(kMaxRequestIdBytes, 'x');
  EXPECT_EQ(ChooseRequestId(longest, "").id, longest);
}

TEST(RequestIdTest, ElseTheTraceIdIsTaken) {
  EXPECT_EQ(ChooseRequestId("", kTraceparent).id, kTrace);
  // A later version may go on.
  EXPECT_EQ(ChooseRequestId("", "01-" + std::string(kTraceparent).substr(3) + "-more").id, kTrace);
}

TEST(RequestIdTest, ElseItIsFreshAndUnique) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const RequestId id = ChooseRequestId("", "");
    EXPECT_THAT(id.id, MatchesRegex("[0-9a-f]+"));
    EXPECT_EQ(id.id.size(), 32U);
    EXPECT_EQ(id.refused, "");
    EXPECT_TRUE(seen.insert(id.id).second);
  }
}

TEST(RequestIdTest, AnUnfitOneIsReplacedAndTheReasonSaid) {
  const RequestId too_long = ChooseRequestId(std::string(kMaxRequestIdBytes + 1, 'x'), "");
  EXPECT_EQ(too_long.id.size(), 32U);
  EXPECT_EQ(too_long.refused, "129 bytes, allowed: 128");
  for (const std::string given : {"a\nb", "\x1b[0m", "caf\xc3\xa9", "\x7f"}) {
    const RequestId id = ChooseRequestId(given, kTraceparent);
    EXPECT_EQ(id.id, kTrace) << given;
    EXPECT_THAT(id.refused, HasSubstr("printable ASCII"));
  }
}

TEST(RequestIdTest, AnInvalidTraceparentIsIgnored) {
  for (const std::string traceparent : {
           "0",
           "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",       // Upper case.
           "00-00000000000000000000000000000000-b7ad6b7169203331-01",       // No trace.
           "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",       // No parent.
           "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",       // No version.
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",  // Not of version 00.
           "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",   // No dash.
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",       // No hex.
           "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",       // No dash.
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01",        // Too short.
       }) {
    const RequestId id = ChooseRequestId("", traceparent);
    EXPECT_EQ(id.id.size(), 32U) << traceparent;
    EXPECT_NE(id.id, kTrace) << traceparent;
    EXPECT_EQ(id.refused, "") << traceparent;
  }
}

}  // namespace
}  // namespace attn
