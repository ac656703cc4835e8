#include "client/cli/case_runner.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "client/golden/tensor_compare.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/golden/stored_answers_client.h"
#include "tests/client/golden/test_files.h"

namespace attn::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Answers of the case `stored`, judged by the case `judge`.
CaseReport RunAgainst(const GoldenCase& stored, const GoldenCase& judge) {
  StoredAnswersClient client(stored);
  return RunCase(judge, {}, client);
}

CaseReport RunStored(const GoldenCase& golden_case,
                     const std::function<void(AttendResult&)>& tamper = nullptr) {
  StoredAnswersClient client(golden_case);
  client.tamper = tamper;
  return RunCase(golden_case, {}, client);
}

GoldenCase Read(const SmallCase& small, const std::string& name = "small") {
  absl::StatusOr<GoldenCase> read = ReadGoldenCase(small.Write(name));
  EXPECT_TRUE(read.ok()) << read.status();
  return *std::move(read);
}

GoldenCase ReadFile(const std::string& area_and_name) {
  absl::StatusOr<GoldenCase> read = ReadGoldenCase(GoldenFile(area_and_name));
  EXPECT_TRUE(read.ok()) << read.status();
  return *std::move(read);
}

TEST(CaseRunnerTest, StoredAnswersOfEveryCasePass) {
  Tally tally;
  for (const std::string& path : GoldenFiles()) {
    const GoldenCase golden_case = *ReadGoldenCase(path);
    const CaseReport report = RunStored(golden_case);
    tally.Add(report);
    EXPECT_EQ(report.verdict, golden_case.kind == "call" ? Verdict::kPass : Verdict::kSkip)
        << ReportLine(report);
  }
  EXPECT_GT(tally.passed, 50);
  EXPECT_GT(tally.skipped, 0);
}

TEST(CaseRunnerTest, BothModesAreRunAndShown) {
  const GoldenCase golden_case = Read(SmallCase());
  StoredAnswersClient client(golden_case);
  const CaseReport report = RunCase(golden_case, {}, client);
  ASSERT_EQ(client.requests.size(), 2U);
  EXPECT_EQ(client.dtypes[0][0], DType::kFloat32);
  EXPECT_EQ(client.dtypes[1][0], DType::kBFloat16);
  EXPECT_TRUE(client.requests[0].outputs().lse());
  EXPECT_TRUE(client.requests[0].outputs().plan());
  EXPECT_FALSE(client.requests[0].outputs().weights());
  EXPECT_EQ(client.requests[0].backend(), "vsa");
  EXPECT_EQ(ReportLine(report).find("pass test/small widened rel_l2 0.0e+00 max 0.0e+00 lse "
                                    "0.0e+00 plan exact; as stored rel_l2 "),
            0U)
      << ReportLine(report);
}

TEST(CaseRunnerTest, RunDTypeAloneIsSent) {
  SmallCase small;
  small.json["run_dtype"] = "fp16";
  const GoldenCase golden_case = Read(small);
  StoredAnswersClient client(golden_case);
  EXPECT_EQ(RunCase(golden_case, {}, client).verdict, Verdict::kPass);
  ASSERT_EQ(client.dtypes.size(), 1U);
  EXPECT_EQ(client.dtypes[0][0], DType::kFloat16);
}

TEST(CaseRunnerTest, CaseStoredInFp32IsRunOnce) {
  const GoldenCase golden_case = ReadFile("dense/fp32_d8_s1");
  StoredAnswersClient client(golden_case);
  EXPECT_EQ(RunCase(golden_case, {.dense_backends = {"eager"}}, client).verdict, Verdict::kPass);
  ASSERT_EQ(client.requests.size(), 1U);
  EXPECT_EQ(client.requests[0].backend(), "eager");
}

TEST(CaseRunnerTest, EveryPrefixIsACall) {
  const GoldenCase golden_case = ReadFile("real/minilm_two_sentences");
  StoredAnswersClient client(golden_case);
  const CaseReport report = RunCase(golden_case, {}, client);
  EXPECT_EQ(report.verdict, Verdict::kPass) << ReportLine(report);
  EXPECT_EQ(client.requests.size(), 6U);
  EXPECT_EQ(report.checks.size(), 12U);
  EXPECT_EQ(report.checks[3].tensor, "layers.1.lse");
}

TEST(CaseRunnerTest, WithIsACallOfItsOwn) {
  SmallCase small;
  small.json["run_dtype"] = "fp32";
  small.json["expected"].push_back({{"output", "out"},
                                    {"tensor", "out_quantised"},
                                    {"rel_l2", 1e-5},
                                    {"with", {{"quantised", true}}}});
  std::vector<float> quantised = small.out;
  quantised[0] += 1;
  small.tensors["out_quantised"] = {DType::kFloat32, {1, 1, 4, 2}, AsBytes(quantised)};
  const GoldenCase golden_case = Read(small);
  StoredAnswersClient client(golden_case);
  const CaseReport report = RunCase(golden_case, {}, client);
  EXPECT_EQ(report.verdict, Verdict::kPass) << ReportLine(report);
  ASSERT_EQ(client.requests.size(), 2U);
  EXPECT_FALSE(client.requests[0].options().contains("quantised"));
  EXPECT_TRUE(client.requests[1].options().at("quantised").bool_value());
  EXPECT_FALSE(client.requests[1].outputs().lse());
}

// A copy of a case in which one element of one tensor is another.
template <typename T>
GoldenCase Altered(const std::string& area_and_name, const std::string& tensor, size_t index,
                   T delta) {
  const GoldenCase original = ReadFile(area_and_name);
  std::map<std::string, FileTensor, std::less<>> tensors = original.file.tensors();
  const std::span<const std::byte> data = tensors.at(tensor).data;
  std::vector<std::byte> copy(data.begin(), data.end());
  T value;
  std::memcpy(&value, copy.data() + index * sizeof(T), sizeof(T));
  value = static_cast<T>(value + delta);
  std::memcpy(copy.data() + index * sizeof(T), &value, sizeof(T));
  tensors.at(tensor).data = copy;
  const std::string path = TestPath("altered.safetensors");
  EXPECT_TRUE(WriteSafetensors(path, tensors, original.file.metadata()).ok());
  absl::StatusOr<GoldenCase> read = ReadGoldenCase(path);
  EXPECT_TRUE(read.ok()) << read.status();
  return *std::move(read);
}

TEST(CaseRunnerTest, AlteredOutFails) {
  const CaseReport report =
      RunAgainst(ReadFile("dense/bf16_d40_s129"), Altered("dense/bf16_d40_s129", "out", 77, 1e-3F));
  EXPECT_EQ(report.verdict, Verdict::kFail);
  EXPECT_THAT(ReportLine(report), StartsWith("fail dense/bf16_d40_s129: widened out rel_l2 "));
  EXPECT_THAT(ReportLine(report), HasSubstr("max 1.00e-03 (limit 2.00e-04)"));
}

TEST(CaseRunnerTest, AlteredLseFails) {
  const CaseReport report =
      RunAgainst(ReadFile("dense/fp16_d96_s17"), Altered("dense/fp16_d96_s17", "lse", 5, 2e-3F));
  EXPECT_EQ(report.verdict, Verdict::kFail);
  EXPECT_THAT(ReportLine(report), HasSubstr("widened lse max"));
  EXPECT_THAT(ReportLine(report), HasSubstr("as stored lse max"));
}

TEST(CaseRunnerTest, AlteredPlanBlockFails) {
  const std::string name = "vsa/vsa_gridrule_9x8x8_half";
  const CaseReport report = RunAgainst(ReadFile(name), Altered<int8_t>(name, "plan_levels", 38, 1));
  EXPECT_EQ(report.verdict, Verdict::kFail);
  EXPECT_THAT(ReportLine(report), HasSubstr("widened plan_levels: the plan differs in 1 of 144 "
                                            "blocks, first at [0,0,3,2]: level"));
}

TEST(CaseRunnerTest, AlterationWithinTheToleranceStillPasses) {
  const CaseReport report =
      RunAgainst(ReadFile("dense/bf16_d40_s129"), Altered("dense/bf16_d40_s129", "out", 77, 1e-5F));
  EXPECT_EQ(report.verdict, Verdict::kPass) << ReportLine(report);
}

// Replaces an output's data by the same values plus a relative error, in its own dtype.
void Add(AttendResult& result, const std::string& name, size_t index, float delta) {
  for (ReceivedTensor& tensor : result.outputs) {
    if (tensor.name != name) continue;
    ASSERT_EQ(tensor.dtype, DType::kFloat32);
    float value = 0;
    std::memcpy(&value, tensor.data.data() + index * sizeof(value), sizeof(value));
    value += delta;
    std::memcpy(tensor.data.data() + index * sizeof(value), &value, sizeof(value));
  }
}

TEST(CaseRunnerTest, LseOfSixteenBitInputsMayGrowWithItsSize) {
  SmallCase small;
  small.lse = {1000, 2, -std::numeric_limits<float>::infinity(), -4};
  const GoldenCase golden_case = Read(small);
  const auto as_stored = [&](size_t index, float delta) {
    const CaseReport report = RunStored(golden_case, [&](AttendResult& result) {
      if (result.Find("out")->dtype != DType::kFloat32) Add(result, "lse", index, delta);
    });
    return report.verdict;
  };
  EXPECT_EQ(as_stored(0, 0.01F), Verdict::kPass);
  EXPECT_EQ(as_stored(0, 0.02F), Verdict::kFail);
  EXPECT_EQ(as_stored(1, 0.0009F), Verdict::kPass);
  EXPECT_EQ(as_stored(1, 0.002F), Verdict::kFail);
  EXPECT_EQ(as_stored(2, std::numeric_limits<float>::infinity()), Verdict::kFail);  // NaN.
}

struct LimitRow {
  const char* name;
  const char* run_dtype;
  const char* tensor;
  DType sent;
  double rel_l2;   // Of the case's 1e-2.
  double max_abs;  // Of the case's 1; < 0 = does not apply.
};

class LimitTest : public testing::TestWithParam<LimitRow> {};

// The largest `out` is 3: an ulp is 2 epsilon.
TEST_P(LimitTest, FollowsTheDType) {
  const LimitRow& row = GetParam();
  SmallCase small;
  small.out[3] = -3;
  small.json["expected"] = {
      {{"output", "out"}, {"tensor", row.tensor}, {"rel_l2", 1e-2}, {"max_abs", 1.0}}};
  small.tensors["out_quantised"] = small.tensors["out"];
  if (row.run_dtype[0] != '\0') small.json["run_dtype"] = row.run_dtype;
  const CaseReport report = RunStored(Read(small));
  ASSERT_FALSE(report.checks.empty()) << ReportLine(report);
  const Check& check = report.checks[row.sent == DType::kFloat32 ? 0 : report.checks.size() - 1];
  EXPECT_DOUBLE_EQ(check.rel_l2_limit.value_or(-1), row.rel_l2);
  EXPECT_DOUBLE_EQ(check.max_abs_limit.value_or(-1), row.max_abs);
}

INSTANTIATE_TEST_SUITE_P(
    CaseRunnerTest, LimitTest,
    testing::Values(
        LimitRow{"Widened", "", "out", DType::kFloat32, 1e-2, 1},
        LimitRow{"AsStoredInBf16", "", "out", DType::kBFloat16, 1e-2 + 5e-3 + 0x1p-9, -1},
        LimitRow{"RunInFp32", "fp32", "out", DType::kFloat32, 1e-2, 1},
        LimitRow{"RunInBf16", "bf16", "out", DType::kBFloat16, 1e-2 + 0x1p-9, 1 + 0x1p-7},
        LimitRow{"RunInFp16", "fp16", "out", DType::kFloat16, 1e-2 + 0x1p-12, 1 + 0x1p-10},
        LimitRow{"QuantisedWidened", "", "out_quantised", DType::kFloat32, 1e-2, 1},
        LimitRow{"QuantisedAsStored", "", "out_quantised", DType::kBFloat16, 1e-2 + 0x1p-9,
                 1 + 0x1p-7}),
    [](const testing::TestParamInfo<LimitRow>& row) { return row.param.name; });

TEST(CaseRunnerTest, OnlyTheFirstRowsCountWhereTheCaseSaysSo) {
  SmallCase small;
  small.json["expected"] = {
      {{"output", "out"}, {"tensor", "out"}, {"rel_l2", 0}, {"max_abs", 0}, {"rows", 3}}};
  small.json["run_dtype"] = "fp32";
  const GoldenCase golden_case = Read(small);
  const auto verdict = [&](size_t index) {
    return RunStored(golden_case, [&](AttendResult& result) { Add(result, "out", index, 1); })
        .verdict;
  };
  EXPECT_EQ(verdict(5), Verdict::kFail);
  EXPECT_EQ(verdict(6), Verdict::kPass);
}

TEST(CaseRunnerTest, PlanSharedByHeadsIsCompared) {
  SmallCase small;
  small.json["expected"] = {small.json["expected"][2]};
  small.plan_levels = {1, 0, 2, 1, 1, 0, 2, 1};
  small.tensors["plan_levels"] = {DType::kInt8, {1, 2, 2, 2}, AsBytes(small.plan_levels)};
  const GoldenCase golden_case = Read(small);
  const auto shared = [](AttendResult& result) { result.outputs[0].shape = {1, 1, 2, 2}; };
  EXPECT_EQ(RunStored(golden_case, shared).verdict, Verdict::kPass);

  small.plan_levels[7] = 4;
  const CaseReport report = RunStored(Read(small), shared);
  EXPECT_EQ(report.verdict, Verdict::kFail);
  EXPECT_THAT(ReportLine(report), HasSubstr("differs in 1 of 8 blocks, first at [0,1,1,1]"));
}

TEST(CaseRunnerTest, OtherShapeOrMissingOutputFails) {
  const GoldenCase golden_case = Read(SmallCase());
  EXPECT_THAT(ReportLine(RunStored(golden_case,
                                   [](AttendResult& r) {
                                     r.outputs[0].shape = {1, 8};
                                   })),
              HasSubstr("shape [1,8] instead of [1,1,4,2]"));
  EXPECT_THAT(ReportLine(RunStored(golden_case,
                                   [](AttendResult& r) {
                                     r.outputs[2].shape = {1, 1, 1, 4};
                                   })),
              HasSubstr("a plan of shape [1,1,1,4] instead of [1,1,2,2]"));
  EXPECT_THAT(ReportLine(RunStored(golden_case, [](AttendResult& r) { r.outputs.pop_back(); })),
              HasSubstr("the response has no plan_levels"));
}

TEST(CaseRunnerTest, AnswerOfAnotherBackendFails) {
  const CaseReport report = RunStored(Read(SmallCase()), [](AttendResult& result) {
    result.selection.set_backend("flash");
    result.selection.set_rule(attention::v1::RULE_FORCED);
  });
  EXPECT_EQ(report.verdict, Verdict::kFail);
  EXPECT_THAT(ReportLine(report),
              HasSubstr("asked for vsa, the server chose flash by RULE_FORCED"));
}

TEST(CaseRunnerTest, OtherKindsAreSkipped) {
  SmallCase small;
  small.json["kind"] = "mask";
  const CaseReport report = RunStored(Read(small));
  EXPECT_EQ(ReportLine(report), "skipped test/small: kind mask: checked by the library's tests");
}

TEST(CaseRunnerTest, WhatCannotBeSentIsUnsupported) {
  SmallCase small;
  small.json["backend"] = "dense";
  small.json["options"] = {{"topk", 3}, {"sparsity", 0.5}};
  EXPECT_EQ(ReportLine(RunStored(Read(small))),
            "unsupported test/small: this version cannot send sparsity, topk");
}

// A server that refuses every call.
class RefusingClient final : public StoredAnswersClient {
 public:
  RefusingClient(const GoldenCase& golden_case, absl::Status status)
      : StoredAnswersClient(golden_case), status_(std::move(status)) {}
  absl::StatusOr<AttendResult> Attend(const AttendArguments&, const CallOptions&) override {
    return status_;
  }

 private:
  absl::Status status_;
};

TEST(CaseRunnerTest, UnimplementedIsUnsupportedAndAnyOtherErrorAFailure) {
  const GoldenCase golden_case = Read(SmallCase());
  RefusingClient unimplemented(golden_case, absl::UnimplementedError("vsa: not built"));
  EXPECT_EQ(ReportLine(RunCase(golden_case, {}, unimplemented)),
            "unsupported test/small: vsa: not built");
  RefusingClient invalid(golden_case, absl::InvalidArgumentError("unknown option 'sparsity'"));
  EXPECT_EQ(ReportLine(RunCase(golden_case, {}, invalid)),
            "fail test/small: unknown option 'sparsity'");
}

TEST(CaseRunnerTest, FileThatIsNoCaseFails) {
  const GoldenCase golden_case = Read(SmallCase());
  StoredAnswersClient client(golden_case);
  const std::string path = TestPath("garbage.safetensors");
  WriteBytes(path, "garb");
  const CaseReport report = RunCaseFile(path, {}, client);
  EXPECT_EQ(report.verdict, Verdict::kFail);
  EXPECT_THAT(ReportLine(report), StartsWith("fail " + path + ": shorter than"));
  EXPECT_EQ(RunCaseFile(TestPath("none"), {}, client).verdict, Verdict::kFail);
}

TEST(CaseRunnerTest, LineEscapesWhatServersSay) {
  CaseReport report;
  report.name = "test/small";
  report.reason = "\x1b[2J\nall passed";
  report.verdict = Verdict::kUnsupported;
  EXPECT_EQ(ReportLine(report), "unsupported test/small: \\x1b[2J\\nall passed");
  report.verdict = Verdict::kFail;
  EXPECT_EQ(ReportLine(report), "fail test/small: \\x1b[2J\\nall passed");
}

TEST(CaseRunnerTest, JsonSaysTheSameWords) {
  CaseReport report;
  for (const auto& [verdict, word] :
       {std::pair(Verdict::kPass, "pass"), std::pair(Verdict::kFail, "fail"),
        std::pair(Verdict::kUnsupported, "unsupported"), std::pair(Verdict::kSkip, "skipped")}) {
    report.verdict = verdict;
    EXPECT_EQ(ReportJson(report)["verdict"], word);
    EXPECT_THAT(ReportLine(report), StartsWith(std::string(word) + " "));
  }
}

TEST(CaseRunnerTest, TallyDecidesSuccess) {
  Tally tally;
  tally.Add({.verdict = Verdict::kPass});
  tally.Add({.verdict = Verdict::kSkip});
  EXPECT_TRUE(tally.success());
  tally.Add({.verdict = Verdict::kUnsupported});
  EXPECT_FALSE(tally.success());
  tally.Add({.verdict = Verdict::kFail});
  EXPECT_EQ(tally.Lines(), "1 passed, 1 failed, 1 unsupported, 1 skipped");
}

TEST(CaseRunnerTest, JsonHoldsFiguresAndLimits) {
  const nlohmann::json json = ReportJson(RunStored(Read(SmallCase())));
  EXPECT_EQ(json["name"], "test/small");
  EXPECT_EQ(json["verdict"], "pass");
  EXPECT_EQ(json["checks"].size(), 6U);
  EXPECT_EQ(json["checks"][0]["rel_l2_limit"], 1e-5);
  EXPECT_TRUE(json["checks"][1]["rel_l2"].is_null());
  EXPECT_EQ(json["checks"][3]["mode"], "as stored");
}

}  // namespace
}  // namespace attn::cli
