// Runs golden cases through a client, as `attn verify` does.
#ifndef ATTN_CLIENT_CLI_CASE_RUNNER_H_
#define ATTN_CLIENT_CLI_CASE_RUNNER_H_

#include <string>
#include <vector>

#include "client/attention_client.h"
#include "client/cli/case_report.h"
#include "client/golden/golden_case.h"

namespace attn::cli {

struct CaseRunOptions {
  // For the cases that any exact backend must pass: each is run on all of them. At least one.
  std::vector<std::string> dense_backends = {"auto"};
  CallOptions call;
};

// Every call of the case, with its float inputs widened to fp32 and as stored (or in its run_dtype
// alone), with its mask as an expression and as a tensor where it has both, every output compared
// within the limits that the case gives.
//
// Skipped: a kind other than `call`. Unsupported: the contract cannot say what the case asks, or
// each backend that was asked refuses some of it (UNIMPLEMENTED), and nothing failed. Any other
// error is a failure.
CaseReport RunCase(const GoldenCase& golden_case, const CaseRunOptions& options,
                   AttentionClient& client);

// The same for a file; one that is no case is a failure.
CaseReport RunCaseFile(const std::string& path, const CaseRunOptions& options,
                       AttentionClient& client);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_CASE_RUNNER_H_
