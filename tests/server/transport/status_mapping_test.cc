#include "server/transport/status_mapping.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attn {
namespace {

using ::testing::EndsWith;
using ::testing::StartsWith;

std::string Sent(const std::string& message) {
  return ToGrpcStatus(absl::InternalError(message)).error_message();
}

TEST(StatusMappingTest, CodesAreEqualByNumberBothWays) {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), code == 0 ? "" : "why");
    const grpc::Status sent = ToGrpcStatus(status);
    EXPECT_EQ(static_cast<int>(sent.error_code()), code);
    EXPECT_EQ(sent.error_message(), code == 0 ? "" : "why");
    EXPECT_EQ(FromGrpcStatus(sent), status);
  }
}

TEST(StatusMappingTest, AnUnknownCodeIsUnknown) {
  for (const int code : {-1, 17}) {
    const absl::Status status =
        FromGrpcStatus(grpc::Status(static_cast<grpc::StatusCode>(code), "odd"));
    EXPECT_EQ(status.code(), absl::StatusCode::kUnknown) << code;
    EXPECT_EQ(std::string(status.message()), "odd");
  }
}

TEST(StatusMappingTest, TheLongestMessageIsSentWhole) {
  const std::string longest(kMaxStatusMessageBytes, 'a');
  EXPECT_EQ(Sent(longest), longest);
}

TEST(StatusMappingTest, ALongerMessageIsCutWithANote) {
  const std::string sent = Sent(std::string(kMaxStatusMessageBytes + 1, 'a'));
  EXPECT_EQ(sent.size(), kMaxStatusMessageBytes);
  EXPECT_THAT(sent, StartsWith("aaaa"));
  EXPECT_THAT(sent, EndsWith("a... [cut; 4097 bytes in all]"));
}

TEST(StatusMappingTest, TheCutIsBetweenCharacters) {
  for (const std::string character : {"é", "€", "😀"}) {
    for (size_t shift = 0; shift < 12; ++shift) {
      std::string message(shift, 'a');
      for (int i = 0; i < 2000; ++i) message += character;
      const std::string sent = Sent(message);
      const std::string kept = sent.substr(0, sent.find("... [cut; "));
      ASSERT_LT(kept.size(), message.size());
      EXPECT_THAT(message, StartsWith(kept));
      EXPECT_EQ((kept.size() - shift) % character.size(), 0u) << character << shift;
      // Three bytes for each that is percent-encoded; not more than a character is given away.
      const size_t encoded = 3 * (kept.size() - shift) + sent.size() - kept.size() + shift;
      EXPECT_LE(encoded, kMaxStatusMessageBytes);
      EXPECT_GT(encoded + 3 * character.size(), kMaxStatusMessageBytes);
    }
  }
}

TEST(StatusMappingTest, TextThatIsNotUtf8IsCutAllTheSame) {
  const std::string sent = Sent(std::string(kMaxStatusMessageBytes, '\x80'));
  EXPECT_THAT(sent, StartsWith("\x80\x80"));
  EXPECT_THAT(sent, EndsWith("... [cut; 4096 bytes in all]"));
}

}  // namespace
}  // namespace attn
