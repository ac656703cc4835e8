#include "server/telemetry/server_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace attn {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

// A log whose lines are read when it has ended.
class ServerLogTest : public testing::Test {
 protected:
  ServerLogTest() { EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0); }
  ~ServerLogTest() override {
    log_.reset();
    close(ends_[0]);
    if (ends_[1] >= 0) close(ends_[1]);
  }

  ServerLog& Open(LogOptions options) {
    options.fd = ends_[1];
    log_ = std::make_unique<ServerLog>(options);
    return *log_;
  }

  std::vector<std::string> Lines() {
    log_.reset();
    close(ends_[1]);
    ends_[1] = -1;
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = read(ends_[0], buffer, sizeof(buffer))) > 0;) {
      text.append(buffer, static_cast<size_t>(n));
    }
    std::vector<std::string> lines = absl::StrSplit(text, '\n');
    EXPECT_EQ(lines.back(), "");
    lines.pop_back();
    return lines;
  }

 private:
  int ends_[2] = {-1, -1};
  std::unique_ptr<ServerLog> log_;
};

CallRecord LoggedCall() {
  return {.request_id = "abc",
          .caller_id = "team 7",
          .model = "wan",
          .transport = "tcp",
          .priority = Priority::kBatch,
          .backend = "flash",
          .device = "cpu",
          .rule = "automatic",
          .times = {.queue_ns = 1'000,
                    .decode_ns = 2'000,
                    .plan_ns = 3'000,
                    .kernel_ns = 4'500,
                    .encode_ns = 5'000,
                    .total_ns = 20'000'000},
          .batch_calls = 2,
          .request_bytes = 300,
          .response_bytes = 100,
          .sparsity = 0.25,
          .computed_flops = 1.5e12,
          .effective_flops = 2e12};
}

TEST_F(ServerLogTest, CallIsOneJsonLineWithEveryField) {
  Open({.format = LogFormat::kJson, .level = LogLevel::kDebug}).OnCallEnded(LoggedCall());
  const std::vector<std::string> lines = Lines();
  ASSERT_EQ(lines.size(), 1U);
  json line = json::parse(lines[0]);
  EXPECT_THAT(line["time"].get<std::string>(),
              MatchesRegex("20[0-9][0-9]-[0-9]+-[0-9]+T[0-9:]+\\.[0-9][0-9][0-9]Z"));
  line.erase("time");
  EXPECT_EQ(line, json({{"level", "debug"},       {"msg", "call"},      {"request_id", "abc"},
                        {"caller", "team 7"},     {"model", "wan"},     {"priority", "batch"},
                        {"transport", "tcp"},     {"backend", "flash"}, {"device", "cpu"},
                        {"rule", "automatic"},    {"code", "OK"},       {"end", "finished"},
                        {"stage", "replying"},    {"queue_us", 1},      {"decode_us", 2},
                        {"plan_us", 3},           {"kernel_us", 4},     {"encode_us", 5},
                        {"total_us", 20000},      {"batch_calls", 2},   {"request_bytes", 300},
                        {"response_bytes", 100},  {"sparsity", 0.25},   {"computed_flops", 1.5e12},
                        {"effective_flops", 2e12}}));
}

TEST_F(ServerLogTest, CallIsOneTextLine) {
  Open({.level = LogLevel::kDebug}).OnCallEnded(LoggedCall());
  const std::vector<std::string> lines = Lines();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_THAT(lines[0], AllOf(testing::StartsWith("time=20"),
                              HasSubstr("Z level=debug msg=call request_id=abc caller=\"team 7\" "
                                        "model=wan priority=batch transport=tcp backend=flash"),
                              HasSubstr(" total_us=20000 batch_calls=2 ")));
}

TEST_F(ServerLogTest, RefusedCallSaysWhy) {
  CallRecord record = LoggedCall();
  record.end = CallEnd::kRefused;
  record.stage = CallStage::kReading;
  record.refusal = "invalid";
  record.status = absl::InvalidArgumentError("tensor 'q': missing");
  Open({.format = LogFormat::kJson, .level = LogLevel::kDebug}).OnCallEnded(record);
  const json line = json::parse(Lines().at(0));
  EXPECT_EQ(line["code"], "INVALID_ARGUMENT");
  EXPECT_EQ(line["end"], "refused");
  EXPECT_EQ(line["stage"], "reading");
  EXPECT_EQ(line["refusal"], "invalid");
  EXPECT_EQ(line["error"], "tensor 'q': missing");
  EXPECT_FALSE(line.contains("sparsity"));
}

// Line breaks, quotes, terminal sequences, C1 controls, what is no UTF-8, what turns text around.
const char* const kHostile[] = {
    "x\ntime=2026-01-01T00:00:00.000Z level=error msg=forged",
    "x\r\n{\"level\":\"error\"}",
    "x\" level=error msg=\"forged",
    "x level=error",
    "x\\",
    "\x1b[31mred\x1b[2J",
    "\xc2\x9b"
    "31m",
    "\xff\xfe\x80",
    "\xe2\x80\xae",
    "\xe2\x80\xa8line separator",
    "",
};

TEST_F(ServerLogTest, HostileTextsForgeNothingInJson) {
  ServerLog& log = Open({.format = LogFormat::kJson, .level = LogLevel::kDebug});
  for (const char* hostile : kHostile) {
    CallRecord record = LoggedCall();
    record.request_id = record.caller_id = record.model = hostile;
    record.end = CallEnd::kRefused;
    record.refusal = "invalid";
    record.status = absl::InvalidArgumentError(hostile);
    log.OnCallEnded(record);
  }
  const std::vector<std::string> lines = Lines();
  ASSERT_EQ(lines.size(), std::size(kHostile));
  for (size_t i = 0; i < lines.size(); ++i) {
    for (const char c : lines[i]) ASSERT_TRUE(c >= 0x20 && c < 0x7f) << lines[i];
    const json line = json::parse(lines[i]);
    EXPECT_EQ(line["level"], "debug");
    EXPECT_EQ(line.size(), 25U) << lines[i];
    if (std::string(kHostile[i]).find('\xff') == std::string::npos) {
      EXPECT_EQ(line["caller"], kHostile[i]) << "escaped, not changed";
    }
  }
}

TEST_F(ServerLogTest, HostileTextsForgeNothingInText) {
  ServerLog& log = Open({.level = LogLevel::kDebug});
  for (const char* hostile : kHostile) {
    CallRecord record = LoggedCall();
    record.caller_id = record.model = hostile;
    log.OnCallEnded(record);
  }
  const std::vector<std::string> lines = Lines();
  ASSERT_EQ(lines.size(), std::size(kHostile));
  for (const std::string& line : lines) {
    for (const char c : line) ASSERT_TRUE(c >= 0x20 && c < 0x7f) << line;
    // The quoted values left out, nothing but our own fields is left.
    std::string bare;
    bool quoted = false;
    for (size_t i = 0; i < line.size(); ++i) {
      if (quoted && line[i] == '\\') {
        ++i;
      } else if (line[i] == '"') {
        quoted = !quoted;
      } else if (!quoted) {
        bare += line[i];
      }
    }
    EXPECT_FALSE(quoted) << line;
    EXPECT_THAT(bare, AllOf(HasSubstr("level=debug"), HasSubstr(" caller= model= priority=batch"),
                            Not(HasSubstr("error")), Not(HasSubstr("forged"))));
  }
}

// A call whose model is a mebibyte of plain letters.
void LogLongModel(ServerLog& log) {
  const std::string model(1 << 20, 'm');
  CallRecord record = LoggedCall();
  record.model = model;
  log.OnCallEnded(record);
}

TEST_F(ServerLogTest, LongTextsAreCutAndSaySoInJson) {
  LogLongModel(Open({.format = LogFormat::kJson, .level = LogLevel::kDebug}));
  const std::string line = Lines().at(0);
  EXPECT_LT(line.size(), 3000U);
  EXPECT_THAT(json::parse(line)["model"].get<std::string>(),
              HasSubstr("... [cut; 1048576 bytes in all]"));
}

TEST_F(ServerLogTest, LongTextsAreCutAndSaySoInText) {
  LogLongModel(Open({.level = LogLevel::kDebug}));
  const std::string line = Lines().at(0);
  EXPECT_LT(line.size(), 3000U);
  EXPECT_THAT(line, AllOf(HasSubstr(" model=\"mmm"),
                          HasSubstr("mmm... [cut; 1048576 bytes in all]\" priority=batch ")));
}

TEST_F(ServerLogTest, LevelDecidesAndIsSwitchedWhileRunning) {
  ServerLog& log = Open({.level = LogLevel::kInfo});
  log.OnCallEnded(LoggedCall());
  log.Write(LogLevel::kInfo, "ready", {{"listen", "127.0.0.1:8601"}, {"tokens", "a b"}});
  EXPECT_EQ(log.SetLevel(LogLevel::kDebug), LogLevel::kInfo);
  log.OnCallEnded(LoggedCall());
  EXPECT_EQ(log.SetLevel(LogLevel::kOff), LogLevel::kDebug);
  log.OnCallEnded(LoggedCall());
  log.Write(LogLevel::kError, "unseen");
  const std::vector<std::string> lines = Lines();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[0], HasSubstr("level=info msg=ready listen=127.0.0.1:8601 tokens=\"a b\""));
  EXPECT_THAT(lines[1], HasSubstr("level=debug msg=call"));
}

TEST_F(ServerLogTest, SlowCallsAndFaultsAreWarnings) {
  ServerLog& log = Open({.level = LogLevel::kWarning, .slow_call = absl::Milliseconds(21)});
  log.OnCallEnded(LoggedCall());  // 20 ms.
  log.SetSlowCall(absl::Milliseconds(20));
  log.OnCallEnded(LoggedCall());
  log.SetSlowCall(absl::InfiniteDuration());
  log.OnCallEnded(LoggedCall());
  CallRecord fault = LoggedCall();
  fault.status = absl::InternalError("the device is gone");
  log.OnCallEnded(fault);
  const std::vector<std::string> lines = Lines();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[0], HasSubstr("level=warning msg=\"slow call\""));
  EXPECT_THAT(lines[1], AllOf(HasSubstr("level=warning msg=\"faulty call\""),
                              HasSubstr("error=\"the device is gone\"")));
}

TEST(ParseLogLevelTest, KnowsItsNamesAndNamesThem) {
  for (const char* name : kLogLevelNames) {
    const auto level = ParseLogLevel(name);
    ASSERT_TRUE(level.ok());
    EXPECT_STREQ(kLogLevelNames[static_cast<size_t>(*level)], name);
  }
  for (const char* name : {"", "Debug", "trace", "warn", "debug "}) {
    const auto level = ParseLogLevel(name);
    EXPECT_EQ(level.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(level.status().message(),
                AllOf(HasSubstr(name), HasSubstr("debug, info, warning, error, off")));
  }
}

}  // namespace
}  // namespace attn
