#include "server/services/attend_job.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/core/status_macros.h"
#include "server/executor/refusal.h"

namespace attn {
namespace {

// Protobuf's own bound on a message; leaves room for the small fields.
constexpr int64_t kMaxResponsePayloadBytes = std::numeric_limits<int32_t>::max() - (1 << 20);

bool IsReadInPlace(const InputTensor& input) {
  const uintptr_t alignment = static_cast<uintptr_t>(std::max(1, BitWidth(input.dtype) / 8));
  return input.payload.size() == 1 &&
         reinterpret_cast<uintptr_t>(input.payload[0].data()) % alignment == 0;
}

absl::Status PlaceInput(InputTensor* input, BufferPool* buffers, AttentionCall* to,
                        std::vector<PayloadCopy>* copies, CallMemory* memory) {
  TensorView view{nullptr, input->dtype, input->layout};
  if (IsReadInPlace(*input)) {
    view.data = input->payload[0].data();
  } else {
    ATTN_ASSIGN_OR_RETURN(BufferPool::Lease lease, buffers->Take(input->bytes));
    view.data = lease.data();
    copies->push_back({lease.data(), std::move(input->payload)});
    memory->inputs.push_back(std::move(lease));
  }
  if (input->name == "q") {
    to->q = view;
  } else if (input->name == "k") {
    to->k = view;
  } else if (input->name == "v") {
    to->v = view;
  } else {
    to->extra.emplace(input->name, view);
  }
  return absl::OkStatus();
}

absl::Status PlaceOutput(const OutputTensor& output, BufferPool* buffers, AttentionCall* to,
                         CallMemory* memory) {
  ATTN_ASSIGN_OR_RETURN(BufferPool::Lease lease, buffers->Take(output.bytes));
  const MutableTensorView view{lease.data(), output.dtype, output.layout};
  if (output.name == "out") {
    to->out = view;
  } else if (output.name == "lse") {
    to->lse = view;
  } else if (output.name == "replicated_out") {
    to->replicated_out = view;
  } else if (output.name == "replicated_lse") {
    to->replicated_lse = view;
  } else {
    to->weights = view;
  }
  memory->outputs.push_back(std::move(lease));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int64_t> BytesToPlace(const ParsedCall& call) {
  int64_t outputs = 0;
  for (const OutputTensor& output : call.outputs) outputs += output.bytes;
  if (outputs > kMaxResponsePayloadBytes) {
    return WithRefusal(absl::ResourceExhaustedError(
                           absl::StrCat("the outputs would have ", outputs, " bytes, at most ",
                                        kMaxResponsePayloadBytes, " fit one response")),
                       kRefusedTooLarge);
  }
  int64_t inputs = 0;
  for (const InputTensor& input : call.inputs) {
    if (!IsReadInPlace(input)) inputs += input.bytes;
  }
  return inputs + outputs;
}

absl::Status PlaceTensors(ParsedCall* call, BufferPool* buffers, AttentionCall* to,
                          std::vector<PayloadCopy>* copies, CallMemory* memory) {
  for (InputTensor& input : call->inputs) {
    ATTN_RETURN_IF_ERROR(PlaceInput(&input, buffers, to, copies, memory));
  }
  for (const OutputTensor& output : call->outputs) {
    ATTN_RETURN_IF_ERROR(PlaceOutput(output, buffers, to, memory));
  }
  return absl::OkStatus();
}

double DenseFlops(const AttentionProblem& problem) {
  const MaskSpec& mask = problem.mask.spec();
  double elements = 0;  // Of one head.
  if (mask.packed()) {
    for (size_t i = 1; i < mask.cu_seqlens_q.size(); ++i) {
      elements += static_cast<double>(mask.cu_seqlens_q[i] - mask.cu_seqlens_q[i - 1]) *
                  static_cast<double>(mask.cu_seqlens_k[i] - mask.cu_seqlens_k[i - 1]);
    }
  } else {
    elements = static_cast<double>(problem.batch) * static_cast<double>(problem.query_len) *
               static_cast<double>(problem.key_len);
  }
  return problem.Flops(elements * static_cast<double>(problem.heads));
}

}  // namespace attn
