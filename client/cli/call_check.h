// Is an answer right? `attn call --check` and `attn load --verify_every` ask the fp64 oracle,
// backend `eager`, the same question.
#ifndef ATTN_CLIENT_CLI_CALL_CHECK_H_
#define ATTN_CLIENT_CLI_CALL_CHECK_H_

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/attention_client.h"
#include "client/cli/prepared_call.h"
#include "client/golden/tensor_compare.h"

namespace attn::cli {

// One output against another answer.
struct OutputDifference {
  std::string output;
  Difference difference;
};

// Whether the limit of a check applies to this output: to those that are sums of values.
bool IsJudged(absl::string_view output);

struct CheckResult {
  std::vector<OutputDifference> outputs;  // out, then what else the call had
  std::optional<double> limit;            // On the rel-L2 of those judged; nullopt = only reported.

  bool passed() const;
};

// Compares the float outputs that both have, in the order of `result`.
absl::StatusOr<std::vector<OutputDifference>> CompareOutputs(
    const AttendResult& result, const std::vector<ExpectedOutput>& expected);

// Asks `eager` while it is open; Check is thread-safe. It holds a scope of its own, so that no
// override of the server, nor ATTN_SCOPE, steers its calls elsewhere.
class EagerChecker {
 public:
  // `client` outlives it. `limit`: of every check; nullopt = a default for exact backends, none
  // for approximations.
  static absl::StatusOr<EagerChecker> Open(AttentionClient& client, CallOptions options,
                                           std::optional<double> limit);

  absl::StatusOr<CheckResult> Check(const AttendArguments& arguments, const AttendResult& result);

 private:
  EagerChecker(AttentionClient& client, CallOptions options, std::optional<double> limit)
      : client_(&client), options_(options), limit_(limit) {}

  AttentionClient* client_;
  CallOptions options_;
  std::optional<double> limit_;
  std::set<std::string> exact_backends_;
  std::unique_ptr<HeldScope> scope_;
};

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_CALL_CHECK_H_
