#include "client/golden/safetensors.h"

#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/golden/test_files.h"

namespace attn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(SafetensorsTest, WhatIsWrittenIsRead) {
  const std::vector<float> floats = {1.5F, -2.0F, std::numeric_limits<float>::infinity(), 0.0F};
  const std::vector<int8_t> bytes = {-1, 2, 3};
  const std::vector<int64_t> longs = {int64_t{1} << 40};
  const std::string path = TestPath("file.safetensors");
  ASSERT_TRUE(WriteSafetensors(path,
                               {{"a", {DType::kInt8, {3}, AsBytes(bytes)}},
                                {"b", {DType::kFloat32, {2, 2}, AsBytes(floats)}},
                                {"c", {DType::kInt64, {}, AsBytes(longs)}},
                                {"empty", {DType::kFloat16, {0, 5}, {}}}},
                               {{"key", "value \"quoted\""}})
                  .ok());
  const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Read(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->metadata().at("key"), "value \"quoted\"");
  EXPECT_EQ(file->tensors().size(), 4U);
  const FileTensor* b = file->Find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->dtype, DType::kFloat32);
  EXPECT_THAT(b->shape, ElementsAre(2, 2));
  EXPECT_TRUE(std::ranges::equal(b->data, AsBytes(floats)));
  EXPECT_TRUE(std::ranges::equal(file->Find("a")->data, AsBytes(bytes)));
  EXPECT_TRUE(std::ranges::equal(file->Find("c")->data, AsBytes(longs)));
  EXPECT_TRUE(file->Find("empty")->data.empty());
  EXPECT_EQ(file->Find("d"), nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b->data.data()) % alignof(float), 0U);
}

TEST(SafetensorsTest, TensorsStayValidWhenTheFileMoves) {
  const SmallCase small;
  absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Read(small.Write("moved"));
  ASSERT_TRUE(file.ok()) << file.status();
  const SafetensorsFile moved = *std::move(file);
  EXPECT_TRUE(std::ranges::equal(moved.Find("out")->data, AsBytes(small.out)));
}

TEST(SafetensorsTest, ReadsEveryDTypeOfTheFormat) {
  const std::string path = TestPath("dtypes.safetensors");
  const struct {
    const char* name;
    DType dtype;
    int bytes;
  } rows[] = {{"F32", DType::kFloat32, 4},   {"F16", DType::kFloat16, 2},
              {"BF16", DType::kBFloat16, 2}, {"I32", DType::kInt32, 4},
              {"I64", DType::kInt64, 8},     {"U8", DType::kUint8, 1},
              {"I8", DType::kInt8, 1},       {"BOOL", DType::kUint8, 1}};
  for (const auto& row : rows) {
    WriteBytes(path, WithHeader("{\"x\":{\"dtype\":\"" + std::string(row.name) +
                                    "\",\"shape\":[1],\"data_offsets\":[0," +
                                    std::to_string(row.bytes) + "]}}",
                                std::string(static_cast<size_t>(row.bytes), 'x')));
    const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Read(path);
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ(file->Find("x")->dtype, row.dtype) << row.name;
  }
}

struct Malformed {
  const char* name;
  std::string bytes;
  const char* complaint;
};

std::string Entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

std::string OneTensor(const std::string& entry, size_t data_bytes) {
  return WithHeader("{\"x\":" + entry + "}", std::string(data_bytes, '\0'));
}

std::string TwoTensors(const std::string& first, const std::string& second, size_t data_bytes) {
  return WithHeader(
      "{\"x\":" + Entry("U8", "[4]", first) + ",\"y\":" + Entry("U8", "[4]", second) + "}",
      std::string(data_bytes, '\0'));
}

std::string HeaderLength(uint64_t bytes) {
  return std::string(reinterpret_cast<const char*>(&bytes), sizeof(bytes));
}

class MalformedTest : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedTest, IsRefusedWithTheReason) {
  const std::string path = TestPath("malformed.safetensors");
  WriteBytes(path, GetParam().bytes);
  const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Read(path);
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument) << file.status();
  EXPECT_THAT(std::string(file.status().message()), HasSubstr(GetParam().complaint));
  EXPECT_THAT(std::string(file.status().message()), HasSubstr("malformed.safetensors"));
}

INSTANTIATE_TEST_SUITE_P(
    SafetensorsTest, MalformedTest,
    testing::Values(
        Malformed{"Empty", "", "shorter than the 8 bytes"},
        Malformed{"CutInTheLength", "abc", "shorter than the 8 bytes"},
        Malformed{"HeaderBeyondTheFile", HeaderLength(3) + "{}", "does not fit"},
        Malformed{"HeaderBeyondAnything", HeaderLength(~uint64_t{0}) + "{}", "does not fit"},
        Malformed{"HeaderAboveTheLimit", HeaderLength(100'000'001) + std::string(100'000'001, ' '),
                  "100000000"},
        Malformed{"NotJson", WithHeader("{\"x\"", ""), "not well-formed JSON"},
        Malformed{"TwoJsonValues", WithHeader("{} {}", ""), "not well-formed JSON"},
        Malformed{"HugeNumber", OneTensor(Entry("U8", "[1e999]", "[0,1]"), 1), "not well-formed"},
        Malformed{"NotAnObject", WithHeader("[]", ""), "not an object"},
        Malformed{"TooDeep", WithHeader(std::string(5000, '['), ""), "nested deeper"},
        Malformed{"NameTwice",
                  WithHeader("{\"x\":" + Entry("U8", "[1]", "[0,1]") +
                                 ",\"x\":" + Entry("U8", "[1]", "[0,1]") + "}",
                             "a"),
                  "'x' stands twice"},
        Malformed{"UnknownDType", OneTensor(Entry("F8_E4M3", "[1]", "[0,1]"), 1), "F8_E4M3"},
        Malformed{"MissingOffsets", WithHeader(R"({"x":{"dtype":"U8","shape":[1]}})", "a"),
                  "exactly"},
        Malformed{"UnknownKey",
                  WithHeader(R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"y":1}})", "a"),
                  "exactly"},
        Malformed{"EntryIsNoObject", WithHeader(R"({"x":3})", ""), "exactly"},
        Malformed{"NegativeDimension", OneTensor(Entry("U8", "[-1]", "[0,1]"), 1), "shape"},
        Malformed{"FractionalDimension", OneTensor(Entry("U8", "[1.0]", "[0,1]"), 1), "shape"},
        Malformed{"DimensionBeyondInt64",
                  OneTensor(Entry("U8", "[9223372036854775808]", "[0,1]"), 1), "shape"},
        Malformed{"OverflowingShape",
                  OneTensor(Entry("F32", "[4294967296,4294967296]", "[0,0]"), 0), "elements"},
        Malformed{"ShapeWantsMore", OneTensor(Entry("F32", "[2]", "[0,4]"), 4), "need 8"},
        Malformed{"ShapeWantsLess", OneTensor(Entry("F32", "[1]", "[0,8]"), 8), "need 4"},
        Malformed{"OffsetsBackwards", OneTensor(Entry("U8", "[1]", "[1,0]"), 1), "begin <= end"},
        Malformed{"ThreeOffsets", OneTensor(Entry("U8", "[1]", "[0,1,1]"), 1), "begin <= end"},
        Malformed{"Overlap", TwoTensors("[0,4]", "[2,6]", 6), "inside the one before"},
        Malformed{"SameBytes", TwoTensors("[0,4]", "[0,4]", 4), "inside the one before"},
        Malformed{"GapBetween", TwoTensors("[0,4]", "[5,9]", 9), "leaving a gap"},
        Malformed{"GapAtTheStart", TwoTensors("[1,5]", "[5,9]", 9), "leaving a gap"},
        Malformed{"DataCutShort", TwoTensors("[0,4]", "[4,8]", 7), "cut short"},
        Malformed{"DataLeftOver", TwoTensors("[0,4]", "[4,8]", 9), "something follows"},
        Malformed{"MetadataIsNoObject", WithHeader(R"({"__metadata__":[]})", ""), "__metadata__"},
        Malformed{"MetadataIsNoText", WithHeader(R"({"__metadata__":{"a":1}})", ""), "'a'"}),
    [](const testing::TestParamInfo<Malformed>& row) { return row.param.name; });

TEST(SafetensorsTest, EveryTruncationOfAFileIsRefused) {
  const std::string whole = ReadBytes(SmallCase().Write("whole"));
  const std::string path = TestPath("cut.safetensors");
  for (size_t bytes = 0; bytes < whole.size(); bytes += 7) {
    WriteBytes(path, whole.substr(0, bytes));
    EXPECT_FALSE(SafetensorsFile::Read(path).ok()) << bytes << " of " << whole.size();
  }
}

TEST(SafetensorsTest, MissingFileAndFolderAreNotFound) {
  EXPECT_EQ(SafetensorsFile::Read(TestPath("none")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(SafetensorsFile::Read(testing::TempDir()).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(WriteSafetensors(TestPath("no_folder/file"), {}, {}).code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(WriteSafetensors(testing::TempDir(), {}, {}).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(SafetensorsTest, WriterRefusesWhatTheFormatCannotHold) {
  const std::vector<uint8_t> data = {1, 2, 3};
  const std::string path = TestPath("refused.safetensors");
  const FileTensor wrong_size{DType::kUint8, {4}, AsBytes(data)};
  const FileTensor bits{DType::kBits, {24}, AsBytes(data)};
  const FileTensor good{DType::kUint8, {3}, AsBytes(data)};
  EXPECT_FALSE(WriteSafetensors(path, {{"x", wrong_size}}, {}).ok());
  EXPECT_FALSE(WriteSafetensors(path, {{"x", bits}}, {}).ok());
  EXPECT_FALSE(WriteSafetensors(path, {{"__metadata__", good}}, {}).ok());
  EXPECT_FALSE(WriteSafetensors(path, {{"x", good}}, {{"a", "\xff"}}).ok());
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(SafetensorsTest, FailedWriteLeavesTheOldFileAndNoOther) {
  const std::vector<uint8_t> data = {1, 2, 3};
  const FileTensor tensor{DType::kUint8, {3}, AsBytes(data)};
  const std::string path = TestPath("kept.safetensors");
  ASSERT_TRUE(WriteSafetensors(path, {{"x", tensor}}, {}).ok());
  const std::string before = ReadBytes(path);
  EXPECT_FALSE(WriteSafetensors(path, {{"x", {DType::kBits, {24}, AsBytes(data)}}}, {}).ok());
  EXPECT_EQ(ReadBytes(path), before);
  EXPECT_FALSE(WriteSafetensors(TestPath("no/such/folder"), {{"x", tensor}}, {}).ok());
  EXPECT_FALSE(WriteSafetensors("/dev/null", {{"x", tensor}}, {}).ok());
  const std::filesystem::directory_iterator folder(std::filesystem::path(path).parent_path());
  EXPECT_EQ(std::distance(begin(folder), end(folder)), 1);
}

}  // namespace
}  // namespace attn
