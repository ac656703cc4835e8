// Score elements that dense attention would compute for samples whose scores are skipped: what a
// call's sparsity and effective FLOPs are measured against. An expression is data, so they are
// counted; without one arithmetic tells.
#ifndef ATTN_KERNELS_STAGES_IDLE_ELEMENTS_H_
#define ATTN_KERNELS_STAGES_IDLE_ELEMENTS_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/mask_program.h"
#include "kernels/core/scratch.h"

namespace attn {

// Borrows the call, whose idle samples they are. Two phases: the program, then rectangles of
// queries and keys.
class IdleElements {
 public:
  static constexpr int kPhaseCount = 2;

  explicit IdleElements(const AttentionCall& call);

  int64_t tiles(int phase) const;
  absl::Status RunTile(int phase, int64_t tile, Scratch& scratch);

  // After all tiles: why the count is not to be had, where a mask function failed.
  absl::Status status() const;
  // Of all heads.
  double total() const;

 private:
  bool counts() const { return call_.problem.expression != nullptr && !samples_.empty(); }
  int64_t heads() const;
  int64_t query_stretches() const;
  int64_t key_stretches() const;

  const AttentionCall& call_;
  std::vector<int64_t> samples_;  // Idle; one of them where they are all alike,
  int64_t alike_ = 1;             // and how many that stands for.
  std::optional<MaskProgram> program_;
  std::atomic<int64_t> counted_ = 0;
};

}  // namespace attn

#endif  // ATTN_KERNELS_STAGES_IDLE_ELEMENTS_H_
