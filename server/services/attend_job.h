// A parsed call as a job of the executor: where its inputs are read and its outputs are written.
#ifndef ATTN_SERVER_SERVICES_ATTEND_JOB_H_
#define ATTN_SERVER_SERVICES_ATTEND_JOB_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/attention_problem.h"
#include "kernels/core/buffer_pool.h"
#include "server/executor/executor.h"
#include "server/services/parsed_call.h"

namespace attn {

// What the views of a call point to beside its message.
struct CallMemory {
  std::vector<BufferPool::Lease> inputs;
  std::vector<BufferPool::Lease> outputs;
};

// Bytes that PlaceTensors will take. RESOURCE_EXHAUSTED where one response cannot hold the outputs.
absl::StatusOr<int64_t> BytesToPlace(const ParsedCall& call);

// Points the views of `to` at the payloads of `call`, of which it moves the pieces out, and at
// memory for its outputs, one lease each in their order. A payload that arrived in one piece,
// aligned for its dtype, is read where it lies; any other is gathered by `copies`, its one copy.
// RESOURCE_EXHAUSTED without memory.
absl::Status PlaceTensors(ParsedCall* call, BufferPool* buffers, AttentionCall* to,
                          std::vector<PayloadCopy>* copies, CallMemory* memory);

// Of dense attention without a mask; of packed sequences the sum over them.
double DenseFlops(const AttentionProblem& problem);

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_ATTEND_JOB_H_
