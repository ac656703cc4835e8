#include "client/cli/case_runner.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/cli/case_checks.h"
#include "client/cli/case_request.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

// One way to send a case.
struct Mode {
  std::string name;
  DType dtype = DType::kFloat32;
};

// A case stored in fp32 is its own widened form.
std::vector<Mode> ModesOf(const GoldenCase& golden_case) {
  if (golden_case.run_dtype == "fp32") return {{"widened", DType::kFloat32}};
  if (!golden_case.run_dtype.empty()) {
    return {{golden_case.run_dtype, *DTypeFromName(golden_case.run_dtype)}};
  }
  std::vector<Mode> modes = {{"widened", DType::kFloat32}};
  const FileTensor* q = golden_case.Find(golden_case.prefixes.front(), "q");
  if (q != nullptr && (q->dtype == DType::kFloat16 || q->dtype == DType::kBFloat16)) {
    modes.push_back({"as stored", q->dtype});
  }
  return modes;
}

// The server must have served the call as it was asked to: an override in force would let one
// backend pass in another's name.
absl::Status CheckSelection(const std::string& asked, const attention::v1::Selection& selection) {
  if (asked.empty() || asked == "auto" || selection.rule() == attention::v1::RULE_CALL) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("asked for ", asked, ", the server chose ", selection.backend(), " by ",
                   attention::v1::Rule_Name(selection.rule()), ": end that override first"));
}

// Runs the calls of one case in one mode.
class ModeRun {
 public:
  ModeRun(const GoldenCase& golden_case, const Mode& mode, const CaseRunOptions& options,
          AttentionClient& client)
      : case_(golden_case), mode_(mode), options_(options), client_(client) {}

  // Adds checks to the report. The first error ends it.
  absl::Status Run(CaseReport* report) {
    for (const std::string& prefix : case_.prefixes) {
      std::vector<OptionMap> done;
      for (const Expectation& expectation : case_.expected) {
        if (std::find(done.begin(), done.end(), expectation.with) != done.end()) continue;
        ATTN_RETURN_IF_ERROR(RunOnce(prefix, expectation.with, report));
        done.push_back(expectation.with);
      }
    }
    return absl::OkStatus();
  }

 private:
  // One call, and every comparison that is to be made under these options.
  absl::Status RunOnce(const std::string& prefix, const OptionMap& changed, CaseReport* report) {
    ATTN_ASSIGN_OR_RETURN(CaseRequest call, MakeCaseRequest(case_, prefix, changed, mode_.dtype));
    attention::v1::AttendRequest& request = call.arguments.request;
    if (case_.backend == "dense") request.set_backend(options_.dense_backend);
    for (const Expectation& expectation : case_.expected) {
      if (expectation.with != changed) continue;
      attention::v1::Outputs& outputs = *request.mutable_outputs();
      if (expectation.output == "lse") outputs.set_lse(true);
      if (expectation.output == "weights") outputs.set_weights(true);
      if (expectation.output == "plan") outputs.set_plan(true);
    }
    ATTN_ASSIGN_OR_RETURN(const AttendResult result, client_.Attend(call.arguments, options_.call));
    report->backend = result.selection.backend();
    ATTN_RETURN_IF_ERROR(CheckSelection(request.backend(), result.selection));
    for (const Expectation& expectation : case_.expected) {
      if (expectation.with == changed) {
        report->checks.push_back(CheckOne(prefix, expectation, result));
      }
    }
    return absl::OkStatus();
  }

  Check CheckOne(const std::string& prefix, const Expectation& expectation,
                 const AttendResult& result) const {
    const std::string output =
        expectation.output == "plan" ? std::string("plan_levels") : expectation.output;
    const ReceivedTensor* received = result.Find(output);
    Check check;
    if (received == nullptr) {
      check.output = expectation.output;
      check.problem = absl::StrCat("the response has no ", output);
    } else {
      const FileTensor actual{
          .dtype = received->dtype,
          .shape = received->shape,
          .data = {received->data.data(), static_cast<size_t>(received->data.size())}};
      check = CheckOutput(case_, expectation, *case_.Find(prefix, expectation.tensor), actual,
                          mode_.dtype);
    }
    check.mode = mode_.name;
    check.tensor = prefix + expectation.tensor;
    return check;
  }

  const GoldenCase& case_;
  const Mode& mode_;
  const CaseRunOptions& options_;
  AttentionClient& client_;
};

}  // namespace

CaseReport RunCase(const GoldenCase& golden_case, const CaseRunOptions& options,
                   AttentionClient& client) {
  CaseReport report;
  report.name = absl::StrCat(golden_case.area, "/", golden_case.name);
  report.path = golden_case.path;
  if (golden_case.kind != "call") {
    report.verdict = Verdict::kSkip;
    report.reason = absl::StrCat("kind ", golden_case.kind);
    return report;
  }
  bool failed = false;
  bool unsupported = false;
  std::vector<std::string> reasons;
  for (const Mode& mode : ModesOf(golden_case)) {
    const absl::Status status = ModeRun(golden_case, mode, options, client).Run(&report);
    if (status.ok()) continue;
    failed |= !absl::IsUnimplemented(status);
    unsupported |= absl::IsUnimplemented(status);
    const std::string reason(status.message());
    if (std::find(reasons.begin(), reasons.end(), reason) == reasons.end()) {
      reasons.push_back(reason);
    }
  }
  failed |= std::any_of(report.checks.begin(), report.checks.end(),
                        [](const Check& check) { return !check.passed; });
  for (const std::string& reason : reasons) {
    absl::StrAppend(&report.reason, report.reason.empty() ? "" : "; ", reason);
  }
  if (unsupported) report.verdict = Verdict::kUnsupported;
  if (failed) report.verdict = Verdict::kFail;
  return report;
}

CaseReport RunCaseFile(const std::string& path, const CaseRunOptions& options,
                       AttentionClient& client) {
  const absl::StatusOr<GoldenCase> golden_case = ReadGoldenCase(path);
  if (golden_case.ok()) return RunCase(*golden_case, options, client);
  CaseReport report;
  report.name = path;
  report.path = path;
  report.verdict = Verdict::kFail;
  // The message begins with the path, as the line does.
  report.reason =
      std::string(absl::StripPrefix(golden_case.status().message(), absl::StrCat(path, ": ")));
  return report;
}

}  // namespace attn::cli
