// A load that a signal ends early.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/load/text_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/client/load/load_fixture.h"

namespace attn::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class InterruptedLoad : public LoadCommand {
 protected:
  // The call with this number, from 1, interrupts the program that makes it.
  void InterruptAt(int call, int signal) {
    service_.attend = [this, call, signal](grpc::ServerContext* context, const auto& request,
                                           auto* response) {
      if (++calls_ == call) kill(getpid(), signal);
      return EchoQuery(context, request, response);
    };
  }

  static int64_t Sum(const json& counts) {
    int64_t sum = 0;
    for (const json& count : counts) sum += count.get<int64_t>();
    return sum;
  }

  std::atomic<int> calls_ = 0;
};

TEST_F(InterruptedLoad, ReportsWhatWasMeasuredUntilThen) {
  for (const int signal : {SIGINT, SIGTERM}) {
    calls_ = 0;
    InterruptAt(20, signal);
    const AttnOutput output = Load({"--duration", "2m", "--concurrency", "1,2,4"});
    EXPECT_EQ(output.exit_code, 1);
    EXPECT_THAT(output.err, HasSubstr("attn: interrupted; the report is of what was measured"));
    const json load = output.json()["load"];
    EXPECT_TRUE(load["interrupted"].get<bool>());
    EXPECT_TRUE(load["aborted"].get<bool>());
    EXPECT_EQ(load["concurrency"], 1) << "later steps are not begun";
    EXPECT_GE(load["completed"].get<int>(), 20);
    EXPECT_EQ(load["failed"], 0) << "what was in flight was answered";
    EXPECT_EQ(Sum(load["timeline"]["completed"]), load["completed"].get<int64_t>());
  }
}

TEST_F(InterruptedLoad, InTheWarmUpWritesEveryReport) {
  InterruptAt(5, SIGINT);
  std::vector<std::string> arguments = {"load",   "--shape", "1x2x4x8",    "--warmup", "2m",
                                        "--rate", "10",      "--duration", "2m"};
  std::vector<std::string> paths;
  for (const char* form : {"json", "csv", "hdr", "html"}) {
    paths.push_back(absl::StrCat(testing::TempDir(), "/interrupted_test.", form));
    std::filesystem::remove(paths.back());
    arguments.push_back(absl::StrCat("--", form, "_out"));
    arguments.push_back(paths.back());
  }
  const AttnOutput output = RunAttn(arguments);
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_THAT(output.out, HasSubstr("ended early"));
  const std::string json_text = load::ReadTextFile(paths[0]).value();
  const json load = json::parse(json_text, nullptr, false)["load"];
  EXPECT_TRUE(load["interrupted"].get<bool>());
  EXPECT_EQ(load["completed"], 0);
  EXPECT_THAT(load::ReadTextFile(paths[1]).value(), HasSubstr("true"));
  EXPECT_THAT(load::ReadTextFile(paths[2]).value(), HasSubstr("Total count"));
  EXPECT_THAT(load::ReadTextFile(paths[3]).value(), HasSubstr("Interrupted"));
}

TEST_F(InterruptedLoad, OfASearchKeepsWhatWasFound) {
  // The first try makes 20 calls, the second would make 40.
  InterruptAt(30, SIGTERM);
  const AttnOutput output =
      Load({"--rate", "100", "--find_max_rate", "--max_p99_ms", "60000", "--duration", "200ms"});
  EXPECT_EQ(output.exit_code, 1);
  const json load = output.json()["load"];
  EXPECT_TRUE(load["interrupted"].get<bool>());
  EXPECT_EQ(load["search"]["max_rate"], 100);
  EXPECT_EQ(load["search"]["probes"].size(), 1) << "the try that was ended early says nothing";
  EXPECT_EQ(load["steps"].size(), 2);
  EXPECT_EQ(load["label"], load["steps"][0]["label"]);
}

TEST_F(InterruptedLoad, CancelsWhatIsNotAnsweredInTime) {
  service_.attend = [](grpc::ServerContext* context, const auto&, auto*) {
    kill(getpid(), SIGTERM);
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(5));
    return grpc::Status::CANCELLED;
  };
  const AttnOutput output = Load({"--duration", "2m"});
  EXPECT_EQ(output.exit_code, 1);
  const json load = output.json()["load"];
  EXPECT_TRUE(load["aborted"].get<bool>());
  EXPECT_EQ(load["errors"], json({{"CANCELLED", 1}}));
}

}  // namespace
}  // namespace attn::cli
