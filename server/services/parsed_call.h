// A request, validated once: what selection, admission and execution need, and nothing of the wire.
#ifndef ATTN_SERVER_SERVICES_PARSED_CALL_H_
#define ATTN_SERVER_SERVICES_PARSED_CALL_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/core/attention_problem.h"
#include "kernels/core/mask_function.h"
#include "proto/attention/v1/attention.pb.h"
#include "server/executor/priority.h"
#include "server/policy/selection.h"
#include "server/services/input_tensors.h"
#include "server/services/output_layout.h"
#include "server/transport/wire_tensors.h"

namespace attn {

// Of bytes that protobuf refuses; it does not say where.
inline constexpr char kUnreadable[] =
    "no attention.v1.AttendRequest: malformed, nested too deep, or a text is no UTF-8";

struct ParsedCall {
  AttentionProblem problem;
  SelectionRequest selection;
  std::string caller_id;
  Priority priority = Priority::kInteractive;
  std::vector<InputTensor> inputs;    // q, k, v, then the others in the order they came
  std::vector<OutputTensor> outputs;  // As LayOutOutputs orders them.
};

// Every error is INVALID_ARGUMENT and names the field, the value and what is allowed.
// `fields` holds no tensors; `tensors` are those of the message. `functions` are those that a mask
// may name, ascending; they outlive the call.
absl::StatusOr<ParsedCall> ParseCall(const attention::v1::AttendRequest& fields,
                                     std::vector<WireTensor> tensors, PayloadRule rule,
                                     const std::vector<const MaskFunction*>& functions);

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_PARSED_CALL_H_
