// Mask expressions as JSON, the form of command lines, workloads and golden cases:
//
//   {"op": "and", "args": [{"op": "causal"}, {"op": "packed", "ids": "sequence_ids"}]}
//
// `op` is a name of attention.proto's MaskExpression (`and`, `or`, `not` for all_of, any_of and
// negation), the other keys its fields; a text names a tensor; `not`, `offset` and `remap` have
// `arg`.
#ifndef ATTN_SERVER_TRANSPORT_MASK_JSON_H_
#define ATTN_SERVER_TRANSPORT_MASK_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn {

// INVALID_ARGUMENT says where, what and what is allowed; unknown keys and operators are refused
// with the nearest known one. What MaskExpression::Create checks is left to it.
absl::StatusOr<attention::v1::MaskExpression> ParseMaskJson(absl::string_view text);

// One line; ParseMaskJson's inverse.
std::string MaskJson(const attention::v1::MaskExpression& expression);

}  // namespace attn

#endif  // ATTN_SERVER_TRANSPORT_MASK_JSON_H_
