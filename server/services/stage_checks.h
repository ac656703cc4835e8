// What stands around a call's attention, against its tensors.
#ifndef ATTN_SERVER_SERVICES_STAGE_CHECKS_H_
#define ATTN_SERVER_SERVICES_STAGE_CHECKS_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/core/attention_problem.h"
#include "kernels/core/call_stages.h"
#include "proto/attention/v1/attention.pb.h"
#include "server/services/input_tensors.h"

namespace attn {

// Fields alone; trimming and the lengths of replicated tokens are found by CheckStages.
absl::StatusOr<CallStages> ReadStages(const attention::v1::AttendRequest& fields);

// Of a problem with the sizes of q, k and v as sent, its stages and the outputs wanted. Afterwards
// its lengths are those that attention is computed over. `inputs` hold every tensor that the stages
// name, those of tokens as [B, H, S, D]. INVALID_ARGUMENT names the field, the value and what is
// allowed; what tensors hold is the stages' own to check.
absl::Status CheckStages(const std::vector<InputTensor>& inputs, bool packed,
                         AttentionProblem* problem);

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_STAGE_CHECKS_H_
