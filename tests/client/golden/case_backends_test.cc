// In how many ways, and on which backends, a case is run.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/case_runner.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/golden/stored_answers_client.h"
#include "tests/client/golden/test_files.h"

namespace attn::cli {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

GoldenCase ReadSmall(const SmallCase& small) {
  absl::StatusOr<GoldenCase> read = ReadGoldenCase(small.Write("small"));
  EXPECT_TRUE(read.ok()) << read.status();
  return *std::move(read);
}

// A case of exact attention without a plan.
SmallCase PlainCase() {
  SmallCase small;
  small.json["backend"] = "dense";
  small.json["options"] = {{"scale", 0.5}};
  small.json["expected"].erase(2);
  return small;
}

TEST(CaseBackendsTest, MaskGivenTwiceIsRunTwice) {
  SmallCase small = PlainCase();
  const std::vector<uint8_t> mask(16, 1);
  small.tensors["m"] = {DType::kUint8, {1, 1, 4, 4}, AsBytes(mask)};
  small.json["inputs"].push_back("m");
  small.json["options"] = {{"mask", "m"}, {"mask_expr", {{"op", "bidirectional"}}}};
  const GoldenCase golden_case = ReadSmall(small);
  StoredAnswersClient client(golden_case);
  const CaseReport report = RunCase(golden_case, {}, client);
  EXPECT_EQ(report.verdict, Verdict::kPass) << ReportLine(report);
  ASSERT_EQ(client.requests.size(), 4U);
  EXPECT_TRUE(client.requests[0].mask().expression().has_bidirectional());
  EXPECT_EQ(client.requests[1].mask().expression().dense().mask(), "m");
  EXPECT_THAT(ReportLine(report), HasSubstr("; widened, mask tensor rel_l2 "));
  EXPECT_THAT(ReportLine(report), HasSubstr("; as stored, mask tensor rel_l2 "));
}
// A server some of whose backends refuse every call.
class PickyClient final : public StoredAnswersClient {
 public:
  PickyClient(const GoldenCase& golden_case, std::vector<std::string> refusing)
      : StoredAnswersClient(golden_case), refusing_(std::move(refusing)) {}
  absl::StatusOr<AttendResult> Attend(const AttendArguments& arguments,
                                      const CallOptions& options) override {
    if (testing::Value(refusing_, testing::Contains(arguments.request.backend()))) {
      return absl::UnimplementedError("no weights");
    }
    return StoredAnswersClient::Attend(arguments, options);
  }

 private:
  const std::vector<std::string> refusing_;
};

TEST(CaseBackendsTest, DenseCaseIsRunOnEveryBackendThatIsAsked) {
  const GoldenCase golden_case = ReadSmall(PlainCase());
  const CaseRunOptions three = {.dense_backends = {"eager", "flash", "flex"}};
  StoredAnswersClient client(golden_case);
  const CaseReport report = RunCase(golden_case, three, client);
  EXPECT_EQ(client.requests.size(), 6U);
  EXPECT_THAT(ReportLine(report), EndsWith(" (eager, flash, flex)"));

  PickyClient some(golden_case, {"flash", "flex"});
  const CaseReport partly = RunCase(golden_case, three, some);
  EXPECT_EQ(partly.verdict, Verdict::kPass) << ReportLine(partly);
  EXPECT_THAT(ReportLine(partly),
              EndsWith(" (eager); refused by flash (no weights); refused by flex (no weights)"));
  EXPECT_THAT(partly.refusals,
              ElementsAre(CaseRefusal{"flash", "no weights"}, CaseRefusal{"flex", "no weights"}));
  EXPECT_EQ(ReportJson(partly)["refused_by"].dump(),
            R"([{"backend":"flash","reason":"no weights"},)"
            R"({"backend":"flex","reason":"no weights"}])");

  PickyClient none(golden_case, three.dense_backends);
  EXPECT_EQ(ReportLine(RunCase(golden_case, three, none)),
            "unsupported test/small: eager: no weights; flash: no weights; flex: no weights");

  StoredAnswersClient wrong(golden_case);
  wrong.tamper = [](AttendResult& result) {
    if (result.selection.backend() == "flex") result.outputs[0].shape = {1, 8};
  };
  EXPECT_THAT(ReportLine(RunCase(golden_case, three, wrong)),
              StartsWith("fail test/small: flex widened out: shape [1,8] instead of"));
}

TEST(CaseBackendsTest, TallyCountsWhoServedAndWhoRefusedWhat) {
  Tally tally;
  const std::string tail = " not supported, supported beside out: lse (rule: call; no fallback)";
  tally.Add({.backends = {"eager", "flash"}});
  tally.Add(
      {.backends = {"eager", "flash"}, .refusals = {{"flash", "flash: output weights" + tail}}});
  // Of a case once, however often it was asked.
  tally.Add({.backends = {"eager"},
             .refusals = {{"flash", "output weights" + tail},
                          {"flash", "output weights" + tail + "!"},
                          {"flash", "'flash' is not in this build (rule: call)"}}});
  tally.Add({.verdict = Verdict::kSkip});
  EXPECT_EQ(tally.Lines(),
            "eager: 3 served, 0 refused\n"
            "flash: 1 served, 2 refused ('flash' is not in this build: 1, output weights not "
            "supported: 2)\n"
            "3 passed, 0 failed, 0 unsupported, 1 skipped");
  EXPECT_EQ(tally.Json()["backends"]["flash"].dump(),
            R"({"reasons":{"'flash' is not in this build":1,"output weights not supported":2},)"
            R"("refused":2,"served":1})");
}

TEST(CaseBackendsTest, WeightsAreACallOfTheirOwn) {
  SmallCase small = PlainCase();
  small.json["run_dtype"] = "fp32";
  const std::vector<float> weights(16, 0.25F);
  small.tensors["weights"] = {DType::kFloat32, {1, 1, 4, 4}, AsBytes(weights)};
  small.json["expected"].push_back({{"output", "weights"}, {"tensor", "weights"}, {"max_abs", 0}});
  const GoldenCase golden_case = ReadSmall(small);
  StoredAnswersClient client(golden_case);
  const CaseReport report = RunCase(golden_case, {}, client);
  EXPECT_EQ(report.verdict, Verdict::kPass) << ReportLine(report);
  ASSERT_EQ(client.requests.size(), 2U);
  EXPECT_FALSE(client.requests[0].outputs().weights());
  EXPECT_TRUE(client.requests[1].outputs().weights());
  EXPECT_EQ(report.checks.size(), 3U);
}

}  // namespace
}  // namespace attn::cli
