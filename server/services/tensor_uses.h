// Which tensors the fields and options of a request name: every one that travels is named by
// something, and every one that is named travels.
#ifndef ATTN_SERVER_SERVICES_TENSOR_USES_H_
#define ATTN_SERVER_SERVICES_TENSOR_USES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "kernels/core/call_stages.h"
#include "kernels/core/mask_expression.h"
#include "kernels/core/options.h"
#include "kernels/core/score_modifiers.h"
#include "server/services/input_tensors.h"

namespace attn {

struct TensorUse {
  std::string field;  // Who names it: `rotary.cos`, `options['gate']`.
  std::string name;
  bool tokens = false;  // Laid out as q, k and v are, by a pattern of its own.
};

// Appends what each names.
void AppendUses(const OptionMap& options, std::vector<TensorUse>* uses);
void AppendUses(const MaskNode& mask, std::vector<TensorUse>* uses);
void AppendUses(const ScoreModifiers& modifiers, std::vector<TensorUse>* uses);
void AppendUses(const CallStages& stages, std::vector<TensorUse>* uses);

// INVALID_ARGUMENT names a tensor that is missing and who names it, and one that nobody names. q, k
// and v are there for themselves alone; a tensor of tokens is nothing else besides.
absl::Status CheckUses(const std::vector<TensorUse>& uses, const std::vector<InputTensor>& inputs);

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_TENSOR_USES_H_
