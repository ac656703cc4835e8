// Calls with stages that own their memory, and what their outputs must be.
#ifndef ATTN_TESTS_KERNELS_STAGES_STAGED_CALL_H_
#define ATTN_TESTS_KERNELS_STAGES_STAGED_CALL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/backend.h"
#include "kernels/core/call_stages.h"
#include "tests/support/random_tensors.h"

namespace attn {

struct StagedShape {
  std::string name;
  // Of the tensors as they are sent; the mask is over the problem's tokens.
  CallShape sent;
  bool lse = true;
  int64_t original_seq_len = 0;  // 0 = not trimmed
  int64_t replicated_queries = 0;
  int64_t replicated_keys = 0;
  std::string replicated_pattern = "b h s d";
  RotaryForm rotary = RotaryForm::kNone;
  int64_t q_offset = 0;
  int64_t k_offset = 0;
  bool tables_per_sample = false;
  SkipMode skip = SkipMode::kNone;
  std::vector<float> sample_weights;  // Empty = the tensor is not given.
  GateForm gate = GateForm::kNone;
  DType beside = DType::kFloat32;  // Of tables, weights and gate.
};

// Random data. Pinned, as the call points into it.
struct StagedCall {
  explicit StagedCall(const StagedShape& shape);
  StagedCall(const StagedCall&) = delete;
  StagedCall& operator=(const StagedCall&) = delete;

  const AttentionCall& call() const { return sent.call; }
  AttentionCall& call() { return sent.call; }

  OwnedCall sent;
  OwnedTensor replicated_q, replicated_k, replicated_v;
  OwnedTensor replicated_out, replicated_lse;
  OwnedTensor cos, sin;  // [B or 1, 1, L, columns]
  OwnedTensor gate;      // [B, 1, tokens sent and then replicated, H]
  OwnedTensor weights;   // [1, 1, 1, B]
  OwnedTensor bias;      // Of a golden case.

 private:
  void AddReplicated(const StagedShape& shape);
  void AddRotary(const StagedShape& shape);
  void AddSkipping(const StagedShape& shape);
  void AddGate(const StagedShape& shape);
};

// In the order b, h, s, d, over the tokens as they were sent.
struct StagedExpectation {
  std::vector<double> out;
  std::vector<double> lse;
  std::vector<double> replicated_out;
  std::vector<double> replicated_lse;
};

// In fp64 by the definitions; tensors are joined and rotated, element by element, into a plain call
// for the dense oracle.
StagedExpectation StagedOracle(const StagedCall& staged, const CallShape& sent);

// Runs the tiles of each phase in an order drawn from `seed` on three threads.
absl::StatusOr<RunResult> RunShuffled(const Backend& backend, const AttentionCall& call,
                                      uint64_t seed);

// `eager` and `flash` without stages.
std::vector<std::unique_ptr<Backend>> PlainBackends();
// The same within stages.
std::vector<std::unique_ptr<Backend>> StagedBackends();

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_STAGES_STAGED_CALL_H_
