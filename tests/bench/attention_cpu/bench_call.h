// One shape of the benchmark with its tensors.
#ifndef ATTN_TESTS_BENCH_ATTENTION_CPU_BENCH_CALL_H_
#define ATTN_TESTS_BENCH_ATTENTION_CPU_BENCH_CALL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/core/aligned_buffer.h"
#include "kernels/core/attention_call.h"

namespace attn {

struct BenchShape {
  int64_t batch = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t query_len = 0;
  int64_t key_len = 0;
  int64_t head_dim = 0;
  DType dtype = DType::kFloat32;
  bool causal = false;
};

// Owns the memory that its call views. Not thread-safe.
class BenchCall {
 public:
  // Reads q, k and v, contiguous and one after the other, from a file.
  static absl::StatusOr<std::unique_ptr<BenchCall>> Load(const BenchShape& shape,
                                                         const std::string& path);

  const AttentionCall& call() const { return call_; }

  absl::Status SaveOutput(const std::string& path) const;

 private:
  explicit BenchCall(AttentionProblem problem);

  AttentionCall call_;
  AlignedBuffer q_;
  AlignedBuffer k_;
  AlignedBuffer v_;
  AlignedBuffer out_;
};

}  // namespace attn

#endif  // ATTN_TESTS_BENCH_ATTENTION_CPU_BENCH_CALL_H_
