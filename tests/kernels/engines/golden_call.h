// A golden case as a call of the compute library.
#ifndef ATTN_TESTS_KERNELS_ENGINES_GOLDEN_CALL_H_
#define ATTN_TESTS_KERNELS_ENGINES_GOLDEN_CALL_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/golden/golden_case.h"
#include "kernels/core/aligned_buffer.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/dtype.h"
#include "tests/support/random_tensors.h"

namespace attn {

// Owns its tensors. Pinned, as the call points into it.
class GoldenCall {
 public:
  // The first option, input or output of the case that dense attention here does not know; "" if
  // there is none.
  static std::string UnknownPart(const GoldenCase& golden);

  // The call of one prefix with q, k, v and out in `dtype`; weights only if wanted.
  static absl::StatusOr<std::unique_ptr<GoldenCall>> Create(const GoldenCase& golden,
                                                            const std::string& prefix, DType dtype,
                                                            bool weights);

  const AttentionCall& call() const { return call_; }

  // `out`, `lse` or `weights` as the call left it, in the order of the file.
  std::vector<double> Output(const std::string& name) const;

 private:
  GoldenCall() = default;

  absl::Status AddInputs(const GoldenCase& golden, const std::string& prefix, DType dtype);
  absl::Status AddProblem(const GoldenCase& golden, const std::string& prefix, DType dtype);
  void AddOutputs(const GoldenCase& golden, DType dtype, bool weights);

  AlignedBuffer q_;
  AlignedBuffer k_;
  AlignedBuffer v_;
  OwnedTensor out_;
  OwnedTensor lse_;
  OwnedTensor weights_;
  AttentionCall call_;
};

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_ENGINES_GOLDEN_CALL_H_
