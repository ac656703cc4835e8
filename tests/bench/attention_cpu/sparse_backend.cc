#include "tests/bench/attention_cpu/sparse_backend.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "kernels/core/block_plan.h"
#include "kernels/core/status_macros.h"
#include "kernels/engines/cpu/plan_engine.h"

namespace attn {
namespace {

constexpr int64_t kBlock = 64;

std::vector<int32_t> Offsets(int64_t tokens) {
  std::vector<int32_t> offsets;
  for (int64_t begin = 0; begin < tokens; begin += kBlock) {
    offsets.push_back(static_cast<int32_t>(begin));
  }
  offsets.push_back(static_cast<int32_t>(tokens));
  return offsets;
}

BlockPlan SparsePlan(const AttentionProblem& problem, double kept) {
  BlockPlan plan;
  plan.q_offsets = Offsets(problem.query_len);
  plan.k_offsets = Offsets(problem.key_len);
  std::vector<int32_t> all(static_cast<size_t>(plan.key_blocks()));
  std::iota(all.begin(), all.end(), 0);
  std::mt19937_64 random(1);
  const double per_row = kept * static_cast<double>(plan.key_blocks());
  plan.row_begin = {0};
  for (int64_t row = 0; row < plan.query_blocks(); ++row) {
    // Rounded so that the whole plan keeps what was asked for.
    const auto end = static_cast<int64_t>(static_cast<double>(row + 1) * per_row);
    std::vector<int32_t> chosen;
    std::sample(all.begin(), all.end(), std::back_inserter(chosen), end - plan.row_begin.back(),
                random);
    for (const int32_t key_block : chosen) plan.entries.push_back({.key_block = key_block});
    plan.row_begin.push_back(end);
  }
  return plan;
}

class SparseExecution final : public Execution {
 public:
  SparseExecution(std::unique_ptr<const Plan> plan, std::unique_ptr<PlanEngine> engine)
      : plan_(std::move(plan)), engine_(std::move(engine)) {}

  int phase_count() const override { return PlanEngine::kPhaseCount; }
  Phase phase(int index) override { return engine_->phase(index); }
  absl::Status RunTile(int phase, int64_t tile, Scratch& scratch) override {
    return engine_->RunTile(phase, tile, scratch);
  }
  absl::StatusOr<RunResult> Finish() override { return RunResult{.stats = engine_->stats()}; }

 private:
  std::unique_ptr<const Plan> plan_;  // The engine's.
  std::unique_ptr<PlanEngine> engine_;
};

class SparseBackend final : public Backend {
 public:
  SparseBackend(std::shared_ptr<CpuDevice> device, double kept)
      : device_(std::move(device)), kept_(kept) {
    info_.name = "sparse";
    info_.device = "cpu";
  }

  const BackendInfo& info() const override { return info_; }
  int64_t WorkspaceBytes(const AttentionProblem& problem,
                         const OptionMap& /*options*/) const override {
    return PlanEngine::DenseBytes(problem, *device_, kBlock, kBlock);
  }
  absl::StatusOr<std::unique_ptr<Execution>> Prepare(const AttentionCall& call) const override {
    auto plan = std::make_unique<const Plan>(SparsePlan(call.problem, kept_));
    ATTN_ASSIGN_OR_RETURN(auto engine, PlanEngine::Create(call, *plan, *device_));
    return std::make_unique<SparseExecution>(std::move(plan), std::move(engine));
  }

 private:
  const std::shared_ptr<CpuDevice> device_;
  const double kept_;
  BackendInfo info_;
};

}  // namespace

std::unique_ptr<Backend> CreateSparseBackend(std::shared_ptr<CpuDevice> device, double kept) {
  return std::make_unique<SparseBackend>(std::move(device), kept);
}

}  // namespace attn
