// Golden case -> call: what a case says in its own words, in the words of the contract.
#ifndef ATTN_CLIENT_CLI_CASE_REQUEST_H_
#define ATTN_CLIENT_CLI_CASE_REQUEST_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/attention_client.h"
#include "client/cli/case_mask.h"
#include "client/golden/golden_case.h"
#include "kernels/core/aligned_buffer.h"
#include "kernels/core/dtype.h"
#include "kernels/core/options.h"

namespace attn::cli {

// One call of a case, ready for AttentionClient::Attend. Its tensors borrow the case's memory, or
// `converted` where their dtype was changed. Movable.
struct CaseRequest {
  AttendArguments arguments;
  std::vector<AlignedBuffer> converted;
};

// The call of `prefix` (one of golden_case.prefixes), with `changed` in place of the case's own
// options of the same names. `dtype`: float inputs are sent in it; nullopt = as stored.
// request.backend is the case's, or empty for `dense`; request.outputs asks for nothing but `out`,
// in the case's pattern: both are the caller's to change.
//
// UNIMPLEMENTED names the options that the contract has no words for; INVALID_ARGUMENT what is
// malformed.
absl::StatusOr<CaseRequest> MakeCaseRequest(const GoldenCase& golden_case,
                                            const std::string& prefix, const OptionMap& changed,
                                            std::optional<DType> dtype,
                                            MaskForm mask_form = MaskForm::kExpression);

// The pattern of `out`: the case's out_pattern, or its layout.
std::string OutPattern(const GoldenCase& golden_case);

// The axis of a tensor of this pattern that counts tokens; -1 if they share one with something
// else. Patterns of cases have single spaces.
int SequenceAxis(absl::string_view pattern);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_CASE_REQUEST_H_
