#include "server/transport/wire_tensors.h"

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/stubs/logging.h"
#include "gtest/gtest.h"
#include "kernels/core/limits.h"
#include "tests/fuzz/wire_samples.h"
#include "tests/fuzz/wire_tensors_oracle.h"

namespace attn {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

// Protobuf logs every string that is not UTF-8; here many are.
class QuietProtobuf : public ::testing::Environment {
 public:
  void SetUp() override { google::protobuf::SetLogHandler(nullptr); }
};
const auto* const kQuietProtobuf = ::testing::AddGlobalTestEnvironment(new QuietProtobuf);

absl::StatusOr<WireMessage> Split(const std::string& bytes) {
  const ByteSpan whole = std::as_bytes(std::span(bytes));
  return SplitTensors(std::span(&whole, 1));
}

std::string DescribeSliced(const std::string& bytes, std::span<const size_t> sizes) {
  const SlicedMessage sliced(bytes, sizes);
  return Describe(SplitTensors(sliced.slices()));
}

std::vector<WireSample> AllSamples() {
  std::vector<WireSample> samples = AcceptedSamples();
  for (const RefusedSample& refused : RefusedSamples()) {
    samples.push_back({refused.name, refused.bytes});
  }
  return samples;
}

TEST(SplitTensorsTest, AgreesWithGeneratedProtobufOnEverySample) {
  for (const WireSample& sample : AllSamples()) {
    EXPECT_EQ(FindDisagreement(sample.bytes), "") << sample.name;
  }
}

TEST(SplitTensorsTest, TakesEveryAcceptedSample) {
  for (const WireSample& sample : AcceptedSamples()) {
    EXPECT_TRUE(Split(sample.bytes).ok()) << sample.name << ": " << Split(sample.bytes).status();
    attention::v1::AttendRequest generated;
    EXPECT_TRUE(generated.ParseFromString(sample.bytes)) << sample.name;
  }
}

TEST(SplitTensorsTest, RefusesMalformedMessagesSayingWhereAndWhy) {
  for (const RefusedSample& sample : RefusedSamples()) {
    const absl::Status status = Split(sample.bytes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << sample.name;
    EXPECT_EQ(std::string(status.message()), sample.error) << sample.name;
  }
}

TEST(SplitTensorsTest, OneBoundaryAnywhereChangesNothing) {
  for (const WireSample& sample : AllSamples()) {
    const std::string expected = Describe(Split(sample.bytes));
    for (size_t cut = 0; cut <= sample.bytes.size(); ++cut) {
      const std::array<size_t, 2> sizes = {cut, sample.bytes.size()};
      ASSERT_EQ(DescribeSliced(sample.bytes, sizes), expected) << sample.name << " cut at " << cut;
    }
  }
}

TEST(SplitTensorsTest, TwoBoundariesAnywhereChangeNothing) {
  for (const WireSample& sample : AllSamples()) {
    if (sample.bytes.size() > 128) continue;  // The pairs grow with the square.
    const std::string expected = Describe(Split(sample.bytes));
    for (size_t first = 0; first <= sample.bytes.size(); ++first) {
      for (size_t second = 0; first + second <= sample.bytes.size(); ++second) {
        const std::array<size_t, 3> sizes = {first, second, sample.bytes.size()};
        ASSERT_EQ(DescribeSliced(sample.bytes, sizes), expected)
            << sample.name << " cut at " << first << " and " << first + second;
      }
    }
  }
}

TEST(SplitTensorsTest, SlicesOfFewBytesAndEmptyOnesChangeNothing) {
  for (const WireSample& sample : AllSamples()) {
    const std::string expected = Describe(Split(sample.bytes));
    for (size_t size = 1; size <= 9; ++size) {
      EXPECT_EQ(DescribeSliced(sample.bytes, std::array<size_t, 1>{size}), expected) << sample.name;
      EXPECT_EQ(DescribeSliced(sample.bytes, std::array<size_t, 4>{0, size, 0, 0}), expected)
          << sample.name;
    }
  }
}

TEST(SplitTensorsTest, EveryTruncationAgreesWithGeneratedProtobuf) {
  for (const WireSample& sample : AllSamples()) {
    for (size_t size = 0; size < sample.bytes.size(); ++size) {
      ASSERT_EQ(FindDisagreement(sample.bytes.substr(0, size)), "")
          << sample.name << " cut after " << size;
    }
  }
}

// One to four random edits: a byte replaced, removed, inserted or a bit turned.
std::string Mutated(std::string bytes, std::mt19937& random) {
  const int edits = static_cast<int>(random() % 4) + 1;
  for (int i = 0; i < edits; ++i) {
    const char byte = static_cast<char>(random());
    const size_t at = bytes.empty() ? 0 : random() % bytes.size();
    switch (bytes.empty() ? 0 : random() % 4) {
      case 0:
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), byte);
        break;
      case 1:
        bytes.erase(at, 1 + random() % 3);
        break;
      case 2:
        bytes[at] = byte;
        break;
      default:
        bytes[at] = static_cast<char>(bytes[at] ^ 1 << random() % 8);
    }
  }
  return bytes;
}

TEST(SplitTensorsTest, RandomMutationsAgreeWithGeneratedProtobuf) {
  constexpr int kMutationsEach = 500;
  std::mt19937 random(20240611);
  int accepted = 0;
  int total = 0;
  for (const WireSample& sample : AllSamples()) {
    for (int i = 0; i < kMutationsEach; ++i) {
      const std::string bytes = Mutated(sample.bytes, random);
      ASSERT_EQ(FindDisagreement(bytes), "")
          << sample.name << ", mutation " << i << ": " << ::testing::PrintToString(bytes);
      const std::array<size_t, 2> sizes = {random() % 5, 1 + random() % 7};
      ASSERT_EQ(DescribeSliced(bytes, sizes), Describe(Split(bytes)))
          << sample.name << ", mutation " << i;
      accepted += Split(bytes).ok() ? 1 : 0;
      ++total;
    }
  }
  // Both outcomes were exercised.
  EXPECT_GT(accepted, total / 10);
  EXPECT_LT(accepted, total * 9 / 10);
}

TEST(SplitTensorsTest, PayloadsReferToTheSlicesThemselves) {
  const std::string bytes = Field(32, Field(1, "q") + Field(15, std::string(100, 'x')));
  const SlicedMessage sliced(bytes, std::array<size_t, 1>{64});
  const absl::StatusOr<WireMessage> message = SplitTensors(sliced.slices());
  ASSERT_TRUE(message.ok()) << message.status();
  const WireTensor& tensor = message->tensors.front();
  ASSERT_THAT(tensor.payload, SizeIs(2));
  EXPECT_EQ(tensor.payload[0].data() + tensor.payload[0].size(),
            sliced.slices()[0].data() + sliced.slices()[0].size());
  EXPECT_EQ(tensor.payload[1].data(), sliced.slices()[1].data());
  EXPECT_EQ(tensor.payload_bytes, 100);
  EXPECT_TRUE(tensor.header.data().empty());
}

TEST(SplitTensorsTest, BoundsTheNumberOfTensors) {
  std::string bytes;
  for (int64_t i = 0; i < kMaxTensorsPerCall; ++i) bytes += Field(32, Field(1, "q"));
  EXPECT_TRUE(Split(bytes).ok());
  const absl::Status status = Split(bytes + Field(32, "")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(status.message()), "malformed message at byte 384: more than 64 tensors");
}

TEST(SplitTensorsTest, BoundsTheSmallFieldsOfATensor) {
  const auto tensor_of = [](int64_t header_bytes) {
    // Tag and length take three bytes.
    return Field(32, Field(1, std::string(static_cast<size_t>(header_bytes - 3), 'n')));
  };
  EXPECT_TRUE(Split(tensor_of(kMaxTensorHeaderBytes)).ok());
  const absl::Status status = Split(tensor_of(kMaxTensorHeaderBytes + 1)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(status.message()),
            "malformed message at byte 4: fields of tensor 0 beside its data exceed 4096 bytes");
}

TEST(SplitTensorsTest, BoundsTheSmallFields) {
  const std::string first = Field(1, "model");
  // Tag and length take four bytes.
  const size_t rest = static_cast<size_t>(kMaxSmallFieldBytes) - first.size() - 4;
  EXPECT_TRUE(Split(first + Field(1, std::string(rest, 'n'))).ok());
  const absl::Status status = Split(first + Field(1, std::string(rest + 1, 'n'))).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(status.message()),
            "malformed message at byte 7: fields beside the tensors exceed 1048576 bytes");
}

TEST(SplitTensorsTest, RefusesMoreThanProtobufAllows) {
  // 2 GiB in all, though the memory is one megabyte.
  const std::vector<std::byte> block(size_t{1} << 20);
  const std::vector<ByteSpan> slices(2048, ByteSpan(block));
  const absl::Status status = SplitTensors(slices).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(status.message()),
            "message of 2147483648 bytes exceeds the 2147483647 that protobuf allows");
}

WireTensor TensorOf(const char* name, std::vector<ByteSpan> payload) {
  WireTensor tensor;
  tensor.header.set_name(name);
  tensor.header.set_dtype(attention::v1::DATA_TYPE_INT8);
  tensor.payload = std::move(payload);
  for (const ByteSpan& piece : tensor.payload) {
    tensor.payload_bytes += static_cast<int64_t>(piece.size());
  }
  return tensor;
}

TEST(JoinTensorsTest, WritesWhatGeneratedProtobufReads) {
  const std::string long_payload(100'000, 'p');
  const ByteSpan payload = std::as_bytes(std::span(long_payload));
  attention::v1::AttendResponse small;
  small.mutable_selection()->set_backend("flash");
  const std::vector<WireTensor> tensors = {
      TensorOf("out", {payload.first(70'000), {}, payload.subspan(70'000)}),
      TensorOf("lse", {}),
      TensorOf("plan_levels", {payload.first(1)}),
  };
  const std::vector<WirePiece> pieces = JoinTensors(small, tensors);

  attention::v1::AttendResponse response;
  ASSERT_TRUE(response.ParseFromString(Concatenate(pieces)));
  EXPECT_EQ(response.selection().backend(), "flash");
  ASSERT_EQ(response.outputs_size(), 3);
  EXPECT_EQ(response.outputs(0).name(), "out");
  EXPECT_EQ(response.outputs(0).data(), long_payload);
  EXPECT_EQ(response.outputs(1).name(), "lse");
  EXPECT_EQ(response.outputs(1).data(), "");
  EXPECT_EQ(response.outputs(2).data(), "p");
  EXPECT_EQ(response.outputs(2).dtype(), attention::v1::DATA_TYPE_INT8);
}

TEST(JoinTensorsTest, ReferencesPayloadsAndOmitsEmptyOnes) {
  const std::string bytes(10, 'p');
  const ByteSpan payload = std::as_bytes(std::span(bytes));
  const std::vector<WireTensor> tensors = {TensorOf("a", {payload, {}}), TensorOf("b", {{}})};
  const std::vector<WirePiece> pieces = JoinTensors(attention::v1::AttendRequest(), tensors);
  ASSERT_THAT(pieces, SizeIs(2));
  EXPECT_EQ(pieces[0].payload.data(), payload.data());
  EXPECT_TRUE(pieces[1].payload.empty());
  // b has a name and a dtype, and no data.
  EXPECT_EQ(pieces[1].head, Field(32, Field(1, "b") + Tag(2, 0) + Varint(7)));
}

TEST(JoinTensorsTest, CountsSizesBeyondFourGiB) {
  // Referenced, never read: five times one gigabyte of the same nothing.
  const ByteSpan gigabyte(static_cast<const std::byte*>(nullptr), size_t{1} << 30);
  const std::vector<WireTensor> tensors = {TensorOf("", {5, gigabyte})};
  const std::vector<WirePiece> pieces = JoinTensors(attention::v1::AttendRequest(), tensors);
  const uint64_t bytes = uint64_t{5} << 30;
  const std::string data_head = Tag(15, 2) + Varint(bytes);
  EXPECT_EQ(pieces.front().head,
            Tag(32, 2) + Varint(2 + data_head.size() + bytes) + Tag(2, 0) + Varint(7) + data_head);
}

TEST(JoinTensorsTest, SplitTensorsReadsItBackSliceBySlice) {
  const std::string bytes(1000, 'p');
  attention::v1::AttendRequest small;
  small.set_model("wan");
  const std::vector<WireTensor> tensors = {
      TensorOf("q", {std::as_bytes(std::span(bytes))}),
      TensorOf("k", {}),
  };
  const std::string joined = Concatenate(JoinTensors(small, tensors));
  const SlicedMessage sliced(joined, std::array<size_t, 1>{7});
  const absl::StatusOr<WireMessage> message = SplitTensors(sliced.slices());
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->small_fields, small.SerializeAsString());
  ASSERT_THAT(message->tensors, SizeIs(2));
  EXPECT_EQ(message->tensors[0].header.name(), "q");
  EXPECT_EQ(Concatenate(message->tensors[0].payload), bytes);
  EXPECT_EQ(message->tensors[1].payload_bytes, 0);
}

// The oracle itself must be able to find a difference.
TEST(OracleTest, TellsResultsApart) {
  EXPECT_NE(Describe(Split(Field(32, Field(15, "ab")))),
            Describe(Split(Field(32, Field(15, "b")))));
  EXPECT_NE(Describe(Split(Field(1, "a"))), Describe(Split(Field(1, "b"))));
  EXPECT_THAT(Describe(Split("\xff")), HasSubstr("INVALID_ARGUMENT"));
}

}  // namespace
}  // namespace attn
