#include "client/cli/case_runner.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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
  MaskForm mask = MaskForm::kExpression;
};

// A case stored in fp32 is its own widened form.
std::vector<Mode> DTypeModes(const GoldenCase& golden_case) {
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

std::vector<Mode> ModesOf(const GoldenCase& golden_case) {
  std::vector<Mode> modes;
  for (const Mode& mode : DTypeModes(golden_case)) {
    modes.push_back(mode);
    if (!HasBothMaskForms(golden_case)) continue;
    modes.push_back({mode.name + ", mask tensor", mode.dtype, MaskForm::kTensor});
  }
  return modes;
}

template <typename Entry>
void AddOnce(const Entry& entry, std::vector<Entry>* to) {
  if (std::find(to->begin(), to->end(), entry) == to->end()) to->push_back(entry);
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

// Runs the calls of one case in one mode on one backend; an empty one is the case's own.
class ModeRun {
 public:
  ModeRun(const GoldenCase& golden_case, const Mode& mode, const std::string& backend,
          const CallOptions& options, AttentionClient& client)
      : case_(golden_case), mode_(mode), backend_(backend), options_(options), client_(client) {}

  // Adds checks to the report. The first error ends it. Weights are asked for in a call of their
  // own: most backends refuse them, and answer the rest.
  absl::Status Run(CaseReport* report) {
    for (const std::string& prefix : case_.prefixes) {
      std::vector<Call> done;
      for (const bool weights : {false, true}) {
        for (const Expectation& expectation : case_.expected) {
          const Call call = {expectation.with, expectation.output == "weights"};
          if (call.weights != weights || std::find(done.begin(), done.end(), call) != done.end()) {
            continue;
          }
          ATTN_RETURN_IF_ERROR(RunOnce(prefix, call, report));
          done.push_back(call);
        }
      }
    }
    return absl::OkStatus();
  }

 private:
  // What one call asks for, of one prefix.
  struct Call {
    OptionMap changed;
    bool weights = false;
    bool operator==(const Call&) const = default;
  };

  // Every comparison that one call is made for.
  std::vector<Expectation> ExpectedOf(const Call& call) const {
    std::vector<Expectation> expected;
    for (const Expectation& expectation : case_.expected) {
      if (expectation.with == call.changed && (expectation.output == "weights") == call.weights) {
        expected.push_back(expectation);
      }
    }
    return expected;
  }

  absl::Status RunOnce(const std::string& prefix, const Call& call, CaseReport* report) {
    ATTN_ASSIGN_OR_RETURN(CaseRequest made,
                          MakeCaseRequest(case_, prefix, call.changed, mode_.dtype, mode_.mask));
    attention::v1::AttendRequest& request = made.arguments.request;
    if (!backend_.empty()) request.set_backend(backend_);
    const std::vector<Expectation> expected = ExpectedOf(call);
    for (const Expectation& expectation : expected) {
      attention::v1::Outputs& outputs = *request.mutable_outputs();
      if (expectation.output == "lse") outputs.set_lse(true);
      if (expectation.output == "weights") outputs.set_weights(true);
      if (expectation.output == "plan") outputs.set_plan(true);
    }
    ATTN_ASSIGN_OR_RETURN(const AttendResult result, client_.Attend(made.arguments, options_));
    AddOnce(result.selection.backend(), &report->backends);
    ATTN_RETURN_IF_ERROR(CheckSelection(request.backend(), result.selection));
    for (const Expectation& expectation : expected) {
      report->checks.push_back(CheckOne(prefix, expectation, result));
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
    check.backend = result.selection.backend();
    check.tensor = prefix + expectation.tensor;
    return check;
  }

  const GoldenCase& case_;
  const Mode& mode_;
  const std::string& backend_;
  const CallOptions& options_;
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
    report.reason = absl::StrCat("kind ", golden_case.kind, ": checked by the library's tests");
    return report;
  }
  const std::vector<std::string> backends =
      golden_case.backend == "dense" ? options.dense_backends : std::vector<std::string>{""};
  // Whose words these are, where several were asked; the server's may begin with the name.
  const auto told = [&](const std::string& backend, const std::string& reason) {
    const bool clear = backends.size() == 1 || absl::StartsWith(reason, backend + ": ");
    return clear ? reason : absl::StrCat(backend, ": ", reason);
  };
  std::vector<std::string> errors;
  std::vector<std::string> refusing;
  for (const Mode& mode : ModesOf(golden_case)) {
    for (const std::string& backend : backends) {
      const absl::Status status =
          ModeRun(golden_case, mode, backend, options.call, client).Run(&report);
      if (status.ok()) continue;
      const std::string reason(status.message());
      if (absl::IsUnimplemented(status)) {
        AddOnce(backend, &refusing);
        AddOnce(CaseRefusal{backend.empty() ? golden_case.backend : backend, reason},
                &report.refusals);
      } else {
        AddOnce(told(backend, reason), &errors);
      }
    }
  }
  const bool failed =
      !errors.empty() || std::any_of(report.checks.begin(), report.checks.end(),
                                     [](const Check& check) { return !check.passed; });
  const bool served = refusing.size() < backends.size();
  for (const CaseRefusal& refusal : report.refusals) {
    if (!served) errors.push_back(told(refusal.backend, refusal.reason));
  }
  report.reason = absl::StrJoin(errors, "; ");
  report.verdict = failed ? Verdict::kFail : served ? Verdict::kPass : Verdict::kUnsupported;
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
