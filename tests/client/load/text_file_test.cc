#include "client/load/text_file.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace attn::load {
namespace {

class TextFileTest : public testing::Test {
 protected:
  TextFileTest() { std::ofstream(path_) << "a\n"; }
  ~TextFileTest() override { std::filesystem::remove(path_); }

  const std::string path_ = testing::TempDir() + "text_file_test.txt";
};

TEST_F(TextFileTest, IsReadWhole) { EXPECT_EQ(ReadTextFile(path_).value(), "a\n"); }

TEST_F(TextFileTest, WhatIsNoRegularFileIsRefused) {
  const absl::Status status = ReadTextFile(testing::TempDir()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), testing::TempDir() + ": no regular file");
}

// Of holes: it takes no disk, and is refused before a byte is read.
TEST_F(TextFileTest, LargerThanTheLimitIsRefusedWithBothNumbers) {
  std::filesystem::resize_file(path_, kMaxTextFileBytes + 1);
  const absl::Status status = ReadTextFile(path_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), absl::StrCat(path_, ": ", kMaxTextFileBytes + 1,
                                           " bytes, allowed: at most ", kMaxTextFileBytes));
}

TEST_F(TextFileTest, MissingFileIsNotFound) {
  const absl::Status status = ReadTextFile("/no/such/file").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "/no/such/file: no such file");
}

}  // namespace
}  // namespace attn::load
