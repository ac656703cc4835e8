// The tensors of a request, each checked by itself.
#ifndef ATTN_SERVER_SERVICES_INPUT_TENSORS_H_
#define ATTN_SERVER_SERVICES_INPUT_TENSORS_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/core/tensor_view.h"
#include "server/transport/wire_tensors.h"

namespace attn {

// A tensor of the request. Its payload still lies in pieces of the received message.
struct InputTensor {
  std::string name;
  DType dtype = DType::kFloat32;
  // [B, H, S, D] with the strides of their pattern for q, k, v and replicated tokens; others as
  // sent.
  TensorLayout layout;
  std::vector<ByteSpan> payload;
  int64_t bytes = 0;
  std::string pattern;  // As sent.
  int64_t heads = 0;    // As sent.
};

enum class PayloadRule : uint8_t {
  kRequired,  // Every tensor's payload has exactly its size.
  kOptional,  // Or is absent: Explain.
};

// Shapes as sent, in the order they came. INVALID_ARGUMENT names the tensor, the value and what is
// allowed; no name stands twice.
absl::StatusOr<std::vector<InputTensor>> ReadTensors(std::vector<WireTensor> tensors,
                                                     PayloadRule rule);

// Makes the layout [B, H, S, D] of a tensor of tokens. `packed`: of sequences without padding.
absl::Status ApplyPattern(bool packed, InputTensor* input);

// Requires that it is there.
const InputTensor& FindTensor(const std::vector<InputTensor>& inputs, absl::string_view name);

// `[1, 2, 3]`
std::string ShapeText(std::span<const int64_t> shape);

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_INPUT_TENSORS_H_
