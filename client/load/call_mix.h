// Which call of a workload is made when, and with what data.
#ifndef ATTN_CLIENT_LOAD_CALL_MIX_H_
#define ATTN_CLIENT_LOAD_CALL_MIX_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "client/attention_client.h"
#include "client/load/workload.h"
#include "kernels/core/aligned_buffer.h"

namespace attn::load {

// A number in [0, 1) that depends on nothing but its arguments: the same for every thread and every
// run. `stream` tells apart what is drawn for the same call.
double DrawUniform(uint64_t seed, uint64_t stream, int64_t index);

// Every entry has one set of normally distributed tensors, which all of its calls share: memory is
// that of one call of each entry, however many are in flight. Immutable, thread-safe, movable.
class CallMix {
 public:
  // RESOURCE_EXHAUSTED without memory for the tensors. The workload is not kept.
  static absl::StatusOr<CallMix> Create(const Workload& workload, uint64_t seed);

  size_t entry_count() const { return calls_.size(); }

  // The entry of the index-th call, in proportion to the weights.
  size_t Pick(int64_t index) const;

  const AttendArguments& arguments(size_t entry) const { return calls_[entry]; }
  int64_t payload_bytes(size_t entry) const;

 private:
  CallMix() = default;

  uint64_t seed_ = 0;
  std::vector<double> cumulative_weights_;
  std::vector<AttendArguments> calls_;
  std::vector<AlignedBuffer> data_;  // Behind the tensors of the calls.
};

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_CALL_MIX_H_
