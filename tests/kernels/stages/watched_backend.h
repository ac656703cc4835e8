// A backend within stages that a test watches.
#ifndef ATTN_TESTS_KERNELS_STAGES_WATCHED_BACKEND_H_
#define ATTN_TESTS_KERNELS_STAGES_WATCHED_BACKEND_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/core/backend.h"
#include "kernels/core/buffer_pool.h"
#include "kernels/engines/reference/reference_backend.h"
#include "kernels/stages/staged_backend.h"
#include "tests/kernels/stages/staged_call.h"

namespace attn {

// `eager`, and what a test wants different. Notes what it is asked.
struct Watched {
  std::vector<AttentionProblem> prepared;
  std::vector<size_t> launches;  // Of how many executions.
  bool launches_batches = false;
  bool replicated = true;
  bool fp32_out = true;
  int64_t workspace_bytes = 1000;
  size_t failing = std::numeric_limits<size_t>::max();  // Of a launch.
};

class WatchedBackend final : public Backend {
 public:
  explicit WatchedBackend(Watched* watched)
      : watched_(*watched), eager_(CreateReferenceBackend()), info_(eager_->info()) {
    if (!watched->replicated) std::erase(info_.capabilities.features, Feature::kReplicated);
  }

  const BackendInfo& info() const override { return info_; }
  absl::Status Supports(const AttentionProblem& problem) const override {
    if (!watched_.fp32_out && problem.out_dtype == DType::kFloat32) {
      return absl::UnimplementedError("eager: output dtype fp32 not supported");
    }
    return Backend::Supports(problem);
  }
  absl::Status Check(const AttentionProblem& problem, const OptionMap&) const override {
    return problem.stages.any() ? absl::InternalError("sees stages") : absl::OkStatus();
  }
  int64_t WorkspaceBytes(const AttentionProblem&, const OptionMap&) const override {
    return watched_.workspace_bytes;
  }
  absl::StatusOr<std::unique_ptr<Execution>> Prepare(const AttentionCall& call) const override {
    watched_.prepared.push_back(call.problem);
    return eager_->Prepare(call);
  }
  bool launches_batches() const override { return watched_.launches_batches; }
  void Launch(std::span<Execution* const> executions,
              std::span<absl::Status> statuses) const override {
    watched_.launches.push_back(executions.size());
    Scratch scratch;
    for (size_t i = 0; i < executions.size(); ++i) {
      if (i == watched_.failing) statuses[i] = absl::InternalError("launch failed");
      for (int phase = 0; statuses[i].ok() && phase < executions[i]->phase_count(); ++phase) {
        const int64_t tiles = executions[i]->phase(phase).tiles;
        for (int64_t tile = 0; tile < tiles; ++tile) {
          scratch.Reset();
          statuses[i].Update(executions[i]->RunTile(phase, tile, scratch));
        }
      }
    }
  }

 private:
  Watched& watched_;
  const std::unique_ptr<Backend> eager_;
  BackendInfo info_;
};

inline std::unique_ptr<Backend> StagedWatched(Watched& watched) {
  return WithStages(std::make_unique<WatchedBackend>(&watched), BufferPool(0));
}

inline StagedShape SmallShape() {
  StagedShape shape;
  shape.sent.batch = 2;
  shape.sent.query_len = shape.sent.key_len = 10;
  shape.sent.head_dim = 8;
  shape.lse = false;
  return shape;
}

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_STAGES_WATCHED_BACKEND_H_
