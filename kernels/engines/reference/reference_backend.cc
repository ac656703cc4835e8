#include "kernels/engines/reference/reference_backend.h"

#include <iterator>
#include <optional>

#include "kernels/core/limits.h"
#include "kernels/core/plan_report.h"
#include "kernels/engines/reference/reference_execution.h"

namespace attn {
namespace {

class ReferenceBackend final : public Backend {
 public:
  ReferenceBackend() {
    info_.name = "eager";
    info_.device = "cpu";
    info_.method = "dense";
    info_.engine = "reference";
    info_.precision = "fp64";
    info_.cost_rank = 100;
    info_.capabilities.max_head_dim = kMaxHeadDim;
    info_.capabilities.dtypes = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};
    info_.capabilities.features.assign(std::begin(kAllFeatures), std::end(kAllFeatures));
  }

  const BackendInfo& info() const override { return info_; }

  absl::Status Check(const AttentionProblem& problem, const OptionMap&) const override {
    return CheckReportedDensePlan(problem);
  }

  int64_t WorkspaceBytes(const AttentionProblem& problem) const override {
    return ReferenceExecution::TileBytes(problem, problem.key_len) +
           ReportedDensePlanBytes(problem, kDefaultReportBlock);
  }

  absl::StatusOr<std::unique_ptr<Execution>> Prepare(const AttentionCall& call) const override {
    std::optional<ImplicitPlan> report;
    if (call.problem.wanted.plan) report = ReportedDensePlan(call.problem);
    return std::make_unique<ReferenceExecution>(call, report);
  }

 private:
  BackendInfo info_;
};

}  // namespace

std::unique_ptr<Backend> CreateReferenceBackend() { return std::make_unique<ReferenceBackend>(); }

}  // namespace attn
