// What running one golden case came to, for people and for scripts.
#ifndef ATTN_CLIENT_CLI_CASE_REPORT_H_
#define ATTN_CLIENT_CLI_CASE_REPORT_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace attn::cli {

enum class Verdict { kPass, kFail, kUnsupported, kSkip };

// One comparison. Figures and limits are absent where they do not apply.
struct Check {
  std::string mode;     // `widened`, `as stored`, or the dtype the case wants; `, mask tensor`
  std::string backend;  // That served the call.
  std::string output;   // out, lse, weights, plan, replicated_out
  std::string tensor;   // Of the file, with its prefix.
  std::optional<double> rel_l2;
  std::optional<double> rel_l2_limit;
  std::optional<double> max_abs;
  std::optional<double> max_abs_limit;
  bool passed = false;
  std::string problem;  // What no figure can say: another shape, blocks that differ.
};

// A backend that did not answer all of a case.
struct CaseRefusal {
  std::string backend;
  std::string reason;  // The server's words.

  // What was refused, without what would not have been and by which rule it was asked.
  std::string Brief() const;
  bool operator==(const CaseRefusal&) const = default;
};

struct CaseReport {
  std::string name;  // area/name, or the path of a file that is no case
  std::string path;
  Verdict verdict = Verdict::kPass;
  std::string reason;                 // Of every verdict but kPass.
  std::vector<std::string> backends;  // That served any of its calls.
  std::vector<CaseRefusal> refusals;  // Each once.
  std::vector<Check> checks;
};

// `pass`, `fail`, `unsupported` or `skipped`, the name, and the figures or the reason, with who
// served it and who refused; control characters escaped. The worst figures of each mode and output;
// all that failed, with their limits.
std::string ReportLine(const CaseReport& report);

nlohmann::json ReportJson(const CaseReport& report);

// How many cases a backend answered in full, and how many it refused all or some of.
struct BackendTally {
  int served = 0;
  int refused = 0;
  std::map<std::string, int> reasons;  // Brief -> cases.
};

// How many cases came to what. A run is a success if none failed or was unsupported.
struct Tally {
  int passed = 0;
  int failed = 0;
  int unsupported = 0;
  int skipped = 0;
  std::map<std::string, BackendTally> backends;

  void Add(const CaseReport& report);
  bool success() const { return failed == 0 && unsupported == 0; }
  // A line a backend, `NAME: N served, N refused (WHAT: N, ...)`, control characters escaped; then
  // `N passed, N failed, N unsupported, N skipped`.
  std::string Lines() const;
  nlohmann::json Json() const;
};

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_CASE_REPORT_H_
