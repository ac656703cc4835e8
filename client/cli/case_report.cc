#include "client/cli/case_report.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "client/cli/printable.h"

namespace attn::cli {
namespace {

const char* Word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "pass";
    case Verdict::kFail:
      return "fail";
    case Verdict::kUnsupported:
      return "unsupported";
    case Verdict::kSkip:
      return "skipped";
  }
  return "";
}

// Of two figures of the same kind; absent ones do not count.
std::optional<double> Worse(std::optional<double> a, std::optional<double> b) {
  if (!a.has_value()) return b;
  return b.has_value() ? std::max(*a, *b) : a;
}

// `out` has both figures, the others say what they are: `lse 3e-06`.
std::string Figures(const Check& check) {
  if (check.output == "plan") return "plan exact";
  std::string text;
  if (check.rel_l2.has_value()) absl::StrAppendFormat(&text, " rel_l2 %.1e", *check.rel_l2);
  if (check.max_abs.has_value()) {
    absl::StrAppendFormat(&text, "%s %.1e", text.empty() ? "" : " max", *check.max_abs);
  }
  return check.output == "out" && check.rel_l2.has_value() ? text.substr(1) : check.output + text;
}

std::string PassedFigures(const std::vector<Check>& checks) {
  std::vector<std::pair<std::string, std::vector<Check>>> modes;  // Worst of each output, in order.
  for (const Check& check : checks) {
    if (modes.empty() || modes.back().first != check.mode) modes.push_back({check.mode, {}});
    std::vector<Check>& outputs = modes.back().second;
    const auto same = std::find_if(outputs.begin(), outputs.end(), [&](const Check& other) {
      return other.output == check.output;
    });
    if (same == outputs.end()) {
      outputs.push_back(check);
    } else {
      same->rel_l2 = Worse(same->rel_l2, check.rel_l2);
      same->max_abs = Worse(same->max_abs, check.max_abs);
    }
  }
  return absl::StrJoin(modes, "; ", [](std::string* text, const auto& mode) {
    absl::StrAppend(text, mode.first);
    for (const Check& check : mode.second) absl::StrAppend(text, " ", Figures(check));
  });
}

std::string Failure(const Check& check, bool name_backend) {
  std::string text = absl::StrCat(name_backend ? absl::StrCat(check.backend, " ") : "", check.mode,
                                  " ", check.tensor);
  const auto append = [&text](const char* figure, std::optional<double> value,
                              std::optional<double> limit) {
    if (!value.has_value() || !limit.has_value()) return;
    absl::StrAppendFormat(&text, " %s %.2e (limit %.2e)", figure, *value, *limit);
  };
  append("rel_l2", check.rel_l2, check.rel_l2_limit);
  append("max", check.max_abs, check.max_abs_limit);
  return check.problem.empty() ? text : absl::StrCat(text, ": ", check.problem);
}

// `; refused by NAME (WHAT)` of each.
std::string RefusedBy(const std::vector<CaseRefusal>& refusals) {
  std::string text;
  for (const CaseRefusal& refusal : refusals) {
    absl::StrAppend(&text, "; refused by ", refusal.backend, " (", refusal.Brief(), ")");
  }
  return text;
}

nlohmann::json OptionalNumber(std::optional<double> number) {
  return number.has_value() ? nlohmann::json(*number) : nlohmann::json();
}

}  // namespace

std::string CaseRefusal::Brief() const {
  absl::string_view brief = absl::StripPrefix(reason, backend + ": ");
  for (const absl::string_view end : {", supported", " (rule: "}) {
    brief = brief.substr(0, brief.find(end));
  }
  return std::string(brief);
}

std::string ReportLine(const CaseReport& report) {
  const std::string name = absl::StrCat(Word(report.verdict), " ", report.name);
  const std::string served_by =
      report.backends.empty() ? "" : absl::StrCat(" (", absl::StrJoin(report.backends, ", "), ")");
  if (report.verdict == Verdict::kPass) {
    return Printable(absl::StrCat(name, " ", PassedFigures(report.checks), served_by,
                                  RefusedBy(report.refusals)));
  }
  if (report.verdict != Verdict::kFail) return Printable(absl::StrCat(name, ": ", report.reason));
  const bool several = report.backends.size() > 1;
  std::vector<std::string> failures;
  if (!report.reason.empty()) failures.push_back(report.reason);
  for (const Check& check : report.checks) {
    if (!check.passed) failures.push_back(Failure(check, several));
  }
  return Printable(absl::StrCat(name, ": ", absl::StrJoin(failures, "; "), served_by));
}

nlohmann::json ReportJson(const CaseReport& report) {
  nlohmann::json checks = nlohmann::json::array();
  for (const Check& check : report.checks) {
    checks.push_back({{"mode", check.mode},
                      {"backend", check.backend},
                      {"output", check.output},
                      {"tensor", check.tensor},
                      {"rel_l2", OptionalNumber(check.rel_l2)},
                      {"rel_l2_limit", OptionalNumber(check.rel_l2_limit)},
                      {"max_abs", OptionalNumber(check.max_abs)},
                      {"max_abs_limit", OptionalNumber(check.max_abs_limit)},
                      {"passed", check.passed},
                      {"problem", check.problem}});
  }
  nlohmann::json refusals = nlohmann::json::array();
  for (const CaseRefusal& refusal : report.refusals) {
    refusals.push_back({{"backend", refusal.backend}, {"reason", refusal.reason}});
  }
  return {{"name", report.name},
          {"file", report.path},
          {"verdict", Word(report.verdict)},
          {"reason", report.reason},
          {"served_by", report.backends},
          {"refused_by", std::move(refusals)},
          {"checks", std::move(checks)}};
}

void Tally::Add(const CaseReport& report) {
  switch (report.verdict) {
    case Verdict::kPass:
      ++passed;
      break;
    case Verdict::kFail:
      ++failed;
      break;
    case Verdict::kUnsupported:
      ++unsupported;
      break;
    case Verdict::kSkip:
      ++skipped;
      break;
  }
  std::map<std::string, std::set<std::string>> refused;
  for (const CaseRefusal& refusal : report.refusals) {
    refused[refusal.backend].insert(refusal.Brief());
  }
  for (const auto& [name, reasons] : refused) {
    BackendTally& backend = backends[name];
    ++backend.refused;
    for (const std::string& reason : reasons) ++backend.reasons[reason];
  }
  for (const std::string& name : report.backends) {
    if (refused.count(name) == 0) ++backends[name].served;
  }
}

std::string Tally::Lines() const {
  std::string lines;
  for (const auto& [name, backend] : backends) {
    std::string line =
        absl::StrCat(name, ": ", backend.served, " served, ", backend.refused, " refused");
    if (backend.refused > 0) {
      const std::string reasons = absl::StrJoin(backend.reasons, ", ", absl::PairFormatter(": "));
      absl::StrAppend(&line, " (", reasons, ")");
    }
    absl::StrAppend(&lines, Printable(line), "\n");
  }
  return lines + absl::StrFormat("%d passed, %d failed, %d unsupported, %d skipped", passed, failed,
                                 unsupported, skipped);
}

nlohmann::json Tally::Json() const {
  nlohmann::json by_backend = nlohmann::json::object();
  for (const auto& [name, backend] : backends) {
    by_backend[name] = {
        {"served", backend.served}, {"refused", backend.refused}, {"reasons", backend.reasons}};
  }
  return {{"passed", passed},
          {"failed", failed},
          {"unsupported", unsupported},
          {"skipped", skipped},
          {"backends", std::move(by_backend)}};
}

}  // namespace attn::cli
