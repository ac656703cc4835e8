#include "server/transport/byte_buffer.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fuzz/wire_tensors_oracle.h"

namespace attn {
namespace {

using ::testing::SizeIs;

ByteSpan SpanOf(const std::string& bytes) { return std::as_bytes(std::span(bytes)); }

TEST(ToByteBufferTest, HoldsThePiecesInOrder) {
  const auto payloads = std::make_shared<std::vector<std::string>>(
      std::vector<std::string>{std::string(5000, 'p'), "short"});
  const grpc::ByteBuffer buffer = ToByteBuffer({{"head of one ", SpanOf((*payloads)[0])},
                                                {"", SpanOf((*payloads)[1])},
                                                {std::string(300, 'h'), {}}},
                                               payloads);
  const absl::StatusOr<ReceivedMessage> message = ReceivedMessage::Take(buffer);
  ASSERT_TRUE(message.ok()) << message.status();
  const std::string expected =
      "head of one " + (*payloads)[0] + (*payloads)[1] + std::string(300, 'h');
  EXPECT_EQ(Concatenate(message->spans()), expected);
  EXPECT_EQ(message->size(), static_cast<int64_t>(expected.size()));
}

TEST(ToByteBufferTest, ReferencesPayloadsInsteadOfCopyingThem) {
  const auto payload = std::make_shared<std::string>(5000, 'p');
  const absl::StatusOr<ReceivedMessage> message =
      ReceivedMessage::Take(ToByteBuffer({{"head", SpanOf(*payload)}, {"", {}}}, payload));
  ASSERT_TRUE(message.ok()) << message.status();
  ASSERT_THAT(message->spans(), SizeIs(2));
  EXPECT_EQ(message->spans()[1].data(), SpanOf(*payload).data());
}

TEST(ToByteBufferTest, KeepsTheOwnerUntilTheLastReferenceIsGone) {
  auto payload = std::make_shared<std::string>(5000, 'p');
  const std::weak_ptr<std::string> watched = payload;
  const ByteSpan bytes = SpanOf(*payload);
  auto buffer = std::make_unique<grpc::ByteBuffer>(
      ToByteBuffer({{"head", bytes.first(2000)}, {"", bytes.subspan(2000)}}, std::move(payload)));
  auto copy = std::make_unique<grpc::ByteBuffer>(*buffer);
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(copy->Dump(&slices).ok());
  EXPECT_FALSE(watched.expired());
  buffer.reset();
  EXPECT_FALSE(watched.expired());
  copy.reset();
  EXPECT_FALSE(watched.expired());  // Still in `slices`.
  slices.pop_back();
  EXPECT_FALSE(watched.expired());
  slices.clear();
  EXPECT_TRUE(watched.expired());
}

TEST(ToByteBufferTest, ReleasesAnOwnerThatNothingRefersTo) {
  auto owner = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = owner;
  const grpc::ByteBuffer buffer = ToByteBuffer({{"head", {}}}, std::move(owner));
  EXPECT_TRUE(watched.expired());
  EXPECT_EQ(buffer.Length(), 4u);
}

TEST(ReceivedMessageTest, SpansSurviveAMove) {
  // Short enough for gRPC to keep the bytes inside the slice object.
  const grpc::Slice slice("abc");
  absl::StatusOr<ReceivedMessage> taken = ReceivedMessage::Take(grpc::ByteBuffer(&slice, 1));
  ASSERT_TRUE(taken.ok()) << taken.status();
  const auto moved = std::make_unique<ReceivedMessage>(*std::move(taken));
  taken = absl::UnknownError("the moved-from message is gone");
  EXPECT_EQ(Concatenate(moved->spans()), "abc");
}

TEST(ReceivedMessageTest, SpansOutliveTheBuffer) {
  auto buffer = std::make_unique<grpc::ByteBuffer>();
  {
    const grpc::Slice slice(std::string(5000, 'p'));
    *buffer = grpc::ByteBuffer(&slice, 1);
  }
  const absl::StatusOr<ReceivedMessage> message = ReceivedMessage::Take(*buffer);
  buffer.reset();
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(Concatenate(message->spans()), std::string(5000, 'p'));
}

TEST(ReceivedMessageTest, AnEmptyMessageHasNoBytes) {
  const grpc::Slice slice;
  const absl::StatusOr<ReceivedMessage> message =
      ReceivedMessage::Take(grpc::ByteBuffer(&slice, 1));
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->size(), 0);
}

TEST(ReceivedMessageTest, RefusesABufferWithoutMessage) {
  const absl::Status status = ReceivedMessage::Take(grpc::ByteBuffer()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(status.message()), "message cannot be read: Buffer not initialized");
}

}  // namespace
}  // namespace attn
