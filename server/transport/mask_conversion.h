// Mask expressions of the wire -> core's.
#ifndef ATTN_SERVER_TRANSPORT_MASK_CONVERSION_H_
#define ATTN_SERVER_TRANSPORT_MASK_CONVERSION_H_

#include "absl/status/statusor.h"
#include "kernels/core/mask_expression.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn {

// The tree, at offsets 0. Structure only: INVALID_ARGUMENT names the node by its path
// (`mask.expression.and[1].not`) where no operator or no argument is set and where the tree exceeds
// kMaxMaskNodes or kMaxMaskDepth. MaskExpression::Create checks the rest.
absl::StatusOr<MaskExpressionSpec> FromProto(const attention::v1::MaskExpression& expression);

}  // namespace attn

#endif  // ATTN_SERVER_TRANSPORT_MASK_CONVERSION_H_
