// Is an output what a golden case expects? The limits are those of the golden files' README.
#ifndef ATTN_CLIENT_CLI_CASE_CHECKS_H_
#define ATTN_CLIENT_CLI_CASE_CHECKS_H_

#include "client/cli/case_report.h"
#include "client/golden/golden_case.h"
#include "client/golden/safetensors.h"
#include "kernels/core/dtype.h"

namespace attn::cli {

// Compares one output of a call whose float inputs were sent in `sent`. Check::mode and
// Check::tensor are the caller's to fill in.
Check CheckOutput(const GoldenCase& golden_case, const Expectation& expectation,
                  const FileTensor& expected, const FileTensor& actual, DType sent);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_CASE_CHECKS_H_
