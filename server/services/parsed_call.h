// A request, validated once: what selection, admission and execution need, and nothing of the wire.
#ifndef ATTN_SERVER_SERVICES_PARSED_CALL_H_
#define ATTN_SERVER_SERVICES_PARSED_CALL_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/core/attention_problem.h"
#include "kernels/core/tensor_view.h"
#include "proto/attention/v1/attention.pb.h"
#include "server/executor/priority.h"
#include "server/policy/selection.h"
#include "server/transport/wire_tensors.h"

namespace attn {

// Of bytes that protobuf refuses; it does not say where.
inline constexpr char kUnreadable[] =
    "no attention.v1.AttendRequest: malformed, nested too deep, or a text is no UTF-8";

// A tensor of the request. Its payload still lies in pieces of the received message.
struct InputTensor {
  std::string name;
  DType dtype = DType::kFloat32;
  TensorLayout layout;  // q, k, v: [B, H, S, D] with the strides of their pattern; others as sent
  std::vector<ByteSpan> payload;
  int64_t bytes = 0;
};

// A tensor of the response, before it is computed.
struct OutputTensor {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;  // As the caller sees it, in `pattern`.
  std::string pattern;
  int64_t heads = 0;    // Where the pattern joins the head axis with another.
  TensorLayout layout;  // As a backend sees it.
  int64_t bytes = 0;
};

struct ParsedCall {
  AttentionProblem problem;
  SelectionRequest selection;
  std::string caller_id;
  Priority priority = Priority::kInteractive;
  std::vector<InputTensor> inputs;    // q, k, v, then the others in the order they came
  std::vector<OutputTensor> outputs;  // out, then lse and weights where wanted
};

enum class PayloadRule : uint8_t {
  kRequired,  // Every tensor's payload has exactly its size.
  kOptional,  // Or is absent: Explain.
};

// Every error is INVALID_ARGUMENT and names the field, the value and what is allowed.
// `fields` holds no tensors; `tensors` are those of the message.
absl::StatusOr<ParsedCall> ParseCall(const attention::v1::AttendRequest& fields,
                                     std::vector<WireTensor> tensors, PayloadRule rule);

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_PARSED_CALL_H_
