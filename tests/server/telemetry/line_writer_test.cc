#include "server/telemetry/line_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace attn {
namespace {

class LineWriterTest : public testing::Test {
 protected:
  LineWriterTest() { EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0); }
  ~LineWriterTest() override {
    close(ends_[1]);
    CloseReader();
  }

  void CloseReader() {
    if (ends_[0] >= 0) close(ends_[0]);
    ends_[0] = -1;
  }

  // Everything, once the writer has closed.
  std::string ReadAll() {
    close(ends_[1]);
    ends_[1] = -1;
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = read(ends_[0], buffer, sizeof(buffer))) > 0;) {
      text.append(buffer, static_cast<size_t>(n));
    }
    return text;
  }

  int ends_[2] = {-1, -1};
};

TEST_F(LineWriterTest, WritesLinesInOrderAndWhatIsPendingAtTheEnd) {
  auto writer = std::make_unique<LineWriter>(ends_[1]);
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    writer->Write(absl::StrCat("line ", i));
    absl::StrAppend(&expected, "line ", i, "\n");
  }
  writer.reset();
  EXPECT_EQ(ReadAll(), expected);
}

TEST_F(LineWriterTest, NobodyReadsAndNobodyWaits) {
  auto writer = std::make_unique<LineWriter>(ends_[1]);
  const std::string line(1000, 'x');
  constexpr int kLines = 20'000;  // 20 MB, five times what may wait.
  for (int i = 0; i < kLines; ++i) writer->Write(line);
  EXPECT_GT(writer->dropped_lines(), kLines / 2);
  EXPECT_LT(writer->dropped_lines(), kLines);
  const absl::Time start = absl::Now();
  writer.reset();
  EXPECT_LT(absl::Now() - start, absl::Seconds(20)) << "the farewell is a second";
}

TEST_F(LineWriterTest, FarewellIsASecondHoweverSlowlyALineIsRead) {
  auto writer = std::make_unique<LineWriter>(ends_[1]);
  const std::string line(1000, 'x');
  for (int i = 0; i < 20'000; ++i) writer->Write(line);
  std::atomic<bool> over = false;
  std::thread reader([&] {
    char page[4096];
    // 8 MB so take 40 s, and the pipe takes some all the time.
    while (!over && read(ends_[0], page, sizeof(page)) > 0) absl::SleepFor(absl::Milliseconds(20));
  });
  const absl::Time start = absl::Now();
  writer.reset();
  EXPECT_LT(absl::Now() - start, absl::Seconds(15));
  over = true;
  reader.join();
}

TEST_F(LineWriterTest, LinesAreWrittenOrCounted) {
  auto writer = std::make_unique<LineWriter>(ends_[1]);
  const std::string line(1000, 'x');
  constexpr int64_t kLines = 20'000;
  for (int64_t i = 0; i < kLines; ++i) writer->Write(line);
  std::atomic<int64_t> bytes = 0;
  std::thread reader([&] {
    char buffer[65536];
    for (ssize_t n; (n = read(ends_[0], buffer, sizeof(buffer))) > 0;) bytes += n;
  });
  // Before the farewell, which may cut off some more.
  const int64_t expected = (kLines - writer->dropped_lines()) * 1001;
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  while (bytes < expected && absl::Now() < give_up) absl::SleepFor(absl::Milliseconds(1));
  writer.reset();
  close(ends_[1]);
  ends_[1] = -1;
  reader.join();
  EXPECT_EQ(bytes, expected);
}

TEST_F(LineWriterTest, ReaderThatIsGoneCostsLinesAndNotTheProcess) {
  LineWriter writer(ends_[1]);
  CloseReader();
  writer.Write("nobody");
  while (writer.dropped_lines() == 0) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(writer.dropped_lines(), 1);
}

TEST_F(LineWriterTest, ThreadsDoNotMixTheirLines) {
  auto writer = std::make_unique<LineWriter>(ends_[1]);
  std::vector<std::thread> threads;
  for (char c = 'a'; c < 'e'; ++c) {
    threads.emplace_back([&writer, c] {
      for (int i = 0; i < 100; ++i) writer->Write(std::string(50, c));
    });
  }
  for (std::thread& thread : threads) thread.join();
  writer.reset();  // 20 kB fit the pipe.
  const std::string text = ReadAll();
  ASSERT_EQ(text.size(), 400U * 51);
  for (size_t at = 0; at < text.size(); at += 51) {
    EXPECT_EQ(text.substr(at, 51), std::string(50, text[at]) + "\n");
  }
}

}  // namespace
}  // namespace attn
