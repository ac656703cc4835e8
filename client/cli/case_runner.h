// Runs golden cases through a client, as `attn verify` does.
#ifndef ATTN_CLIENT_CLI_CASE_RUNNER_H_
#define ATTN_CLIENT_CLI_CASE_RUNNER_H_

#include <string>

#include "client/attention_client.h"
#include "client/cli/case_report.h"
#include "client/golden/golden_case.h"

namespace attn::cli {

struct CaseRunOptions {
  std::string dense_backend = "auto";  // For the cases that any exact backend must pass.
  CallOptions call;
};

// Every call of the case, with its float inputs widened to fp32 and as stored (or in its run_dtype
// alone), every output compared within the limits that the case gives.
//
// Skipped: a kind other than `call`. Unsupported: the contract or the server cannot do what the
// case asks (UNIMPLEMENTED), and nothing failed. Any other error is a failure.
CaseReport RunCase(const GoldenCase& golden_case, const CaseRunOptions& options,
                   AttentionClient& client);

// The same for a file; one that is no case is a failure.
CaseReport RunCaseFile(const std::string& path, const CaseRunOptions& options,
                       AttentionClient& client);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_CASE_RUNNER_H_
