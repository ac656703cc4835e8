// The tensors of a response, before they are computed.
#ifndef ATTN_SERVER_SERVICES_OUTPUT_LAYOUT_H_
#define ATTN_SERVER_SERVICES_OUTPUT_LAYOUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/core/attention_problem.h"
#include "kernels/core/tensor_view.h"
#include "proto/attention/v1/attention.pb.h"
#include "server/services/input_tensors.h"

namespace attn {

struct OutputTensor {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;  // As the caller sees it, in `pattern`.
  std::string pattern;
  int64_t heads = 0;    // Where the pattern joins the head axis with another.
  TensorLayout layout;  // As a backend sees it.
  int64_t bytes = 0;
};

// Sets what is wanted, and the dtype of `out`, of a problem whose dtype is known. INVALID_ARGUMENT
// names the field.
absl::Status ReadOutputsWanted(const attention::v1::Outputs& outputs, AttentionProblem* problem);

// `out`, then those that are wanted: lse, replicated_out, replicated_lse, weights. `out` and `lse`
// are over the tokens of q as sent. A pattern that is not asked for is that of q, or of the
// replicated q; lse and weights have fixed shapes.
absl::StatusOr<std::vector<OutputTensor>> LayOutOutputs(const attention::v1::Outputs& outputs,
                                                        const std::vector<InputTensor>& inputs,
                                                        const AttentionProblem& problem);

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_OUTPUT_LAYOUT_H_
