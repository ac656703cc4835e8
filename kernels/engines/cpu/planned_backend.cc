#include "kernels/engines/cpu/planned_backend.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "kernels/core/limits.h"
#include "kernels/core/saturating.h"
#include "kernels/core/status_macros.h"
#include "kernels/engines/cpu/engine_info.h"
#include "kernels/engines/cpu/plan_engine.h"
#include "kernels/engines/cpu/planned_execution.h"

namespace attn {
namespace {

// What both have; `of_method` as it stands where the engine sets no bound.
Capabilities Both(const Capabilities& of_method, const Capabilities& of_engine) {
  Capabilities both = of_method;
  both.min_head_dim = std::max(of_method.min_head_dim, of_engine.min_head_dim);
  both.max_head_dim = of_method.max_head_dim == 0
                          ? of_engine.max_head_dim
                          : std::min(of_method.max_head_dim, of_engine.max_head_dim);
  both.dtypes = of_engine.dtypes;
  both.features.clear();
  for (const Feature feature : of_method.features) {
    if (of_engine.Has(feature)) both.features.push_back(feature);
  }
  return both;
}

class PlannedBackend final : public Backend {
 public:
  PlannedBackend(std::unique_ptr<const Method> method, int cost_rank,
                 std::shared_ptr<CpuDevice> device)
      : method_(std::move(method)), device_(std::move(device)) {
    const MethodInfo& method_info = method_->info();
    info_ = CpuEngineInfo(*device_);
    info_.name = method_info.name;
    info_.method = method_info.name;
    info_.description = method_info.description;
    info_.exact = method_info.exact;
    info_.cost_rank = cost_rank;
    info_.capabilities = Both(method_info.capabilities, info_.capabilities);
    info_.options = method_info.options;
  }

  const BackendInfo& info() const override { return info_; }

  absl::Status Supports(const AttentionProblem& problem) const override {
    ATTN_RETURN_IF_ERROR(Backend::Supports(problem));
    ATTN_RETURN_IF_ERROR(CheckEngineScale(info_.name, problem));
    return method_->Supports(problem);
  }

  absl::Status Check(const AttentionProblem& problem, const OptionMap& options) const override {
    return method_->Check(problem, options);
  }

  int64_t WorkspaceBytes(const AttentionProblem& problem, const OptionMap& options) const override {
    const Method::Blocks blocks = method_->SmallestBlocks(problem, options);
    return SaturatingAdd(method_->PlanBytes(problem, options),
                         PlanEngine::ListedBytes(problem, *device_, blocks.q, blocks.k));
  }

  absl::StatusOr<std::unique_ptr<Execution>> Prepare(const AttentionCall& call) const override {
    PlannedReport report;
    report.exact = info_.exact;
    report.returns_plan = call.problem.wanted.plan;
    report.counts_blocks = true;
    return std::make_unique<PlannedExecution>(call, method_->Plan(call), std::move(report),
                                              device_);
  }

 private:
  std::unique_ptr<const Method> method_;
  std::shared_ptr<CpuDevice> device_;
  BackendInfo info_;
};

}  // namespace

std::unique_ptr<Backend> CreatePlannedBackend(std::unique_ptr<const Method> method, int cost_rank,
                                              std::shared_ptr<CpuDevice> device) {
  return std::make_unique<PlannedBackend>(std::move(method), cost_rank, std::move(device));
}

}  // namespace attn
