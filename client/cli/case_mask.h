// The mask of a golden case in the words of the contract.
#ifndef ATTN_CLIENT_CLI_CASE_MASK_H_
#define ATTN_CLIENT_CLI_CASE_MASK_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/case_options.h"
#include "client/golden/golden_case.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn::cli {

// Which one is sent where a case says its mask twice, as an expression and as the boolean tensor
// that it comes to: such a case is run once with each.
enum class MaskForm { kExpression, kTensor };

bool HasBothMaskForms(const GoldenCase& golden_case);

struct CaseMask {
  attention::v1::Mask mask;
  // Tensors of the case that the mask spares the call: those that became lists of it, and those of
  // the form that is not sent.
  std::vector<std::string> not_sent;
};

// Takes out of `options` everything that says which keys a query attends.
absl::StatusOr<CaseMask> TakeMask(const GoldenCase& golden_case, const std::string& prefix,
                                  MaskForm form, CaseOptions* options);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_CASE_MASK_H_
