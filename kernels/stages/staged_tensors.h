// What the backend inside is asked of a staged call: its problem, and the tensors that are not the
// call's own.
#ifndef ATTN_KERNELS_STAGES_STAGED_TENSORS_H_
#define ATTN_KERNELS_STAGES_STAGED_TENSORS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/attention_problem.h"
#include "kernels/core/backend.h"
#include "kernels/core/buffer_pool.h"
#include "kernels/core/tensor_view.h"

namespace attn {

// `problem` without its stages. `refined`: its output is worked on before it is rounded, so that
// `inner` is asked for fp32 where it has that.
AttentionProblem InnerProblem(const Backend& inner, const AttentionProblem& problem, bool refined);

// What must be copied follows from the problem alone, so that admission knows it. Trimming copies
// nothing: it narrows views.
class StagedTensors {
 public:
  // Bytes of all copies; saturates at INT64_MAX. `inner_out` is the dtype that the backend writes.
  static int64_t Bytes(const AttentionProblem& problem, DType inner_out);

  // Uninitialised. RESOURCE_EXHAUSTED if the system has no memory.
  static absl::StatusOr<StagedTensors> Create(const AttentionProblem& problem, DType inner_out,
                                              BufferPool& buffers);

  StagedTensors() = default;

  // Contiguous, over the problem's tokens; empty where the backend takes the call's own.
  MutableTensorView q;
  MutableTensorView k;
  MutableTensorView v;
  MutableTensorView out;
  MutableTensorView lse;

 private:
  std::vector<BufferPool::Lease> leases_;
};

}  // namespace attn

#endif  // ATTN_KERNELS_STAGES_STAGED_TENSORS_H_
