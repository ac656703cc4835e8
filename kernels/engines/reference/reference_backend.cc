#include "kernels/engines/reference/reference_backend.h"

#include <cstdint>
#include <memory>
#include <utility>

#include "kernels/core/limits.h"
#include "kernels/core/mask_planning.h"
#include "kernels/core/plan_report.h"
#include "kernels/core/planning.h"
#include "kernels/core/saturating.h"
#include "kernels/engines/reference/reference_execution.h"

namespace attn {
namespace {

class ReferenceBackend final : public Backend {
 public:
  ReferenceBackend() {
    info_.name = "eager";
    info_.device = "cpu";
    info_.description =
        "Exact attention as it is written down, in fp64; the only one that returns the weights.";
    info_.method = "dense";
    info_.engine = "reference";
    info_.precision = "fp64";
    info_.cost_rank = 100;
    info_.capabilities.max_head_dim = kMaxHeadDim;
    info_.capabilities.dtypes = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};
    info_.capabilities.features = {Feature::kCausal, Feature::kWindow,     Feature::kLengths,
                                   Feature::kPacked, Feature::kExpression, Feature::kGqa,
                                   Feature::kScale,  Feature::kSoftcap,    Feature::kBias,
                                   Feature::kAlibi,  Feature::kSinks,      Feature::kReplicated,
                                   Feature::kLse,    Feature::kWeights,    Feature::kPlan};
  }

  const BackendInfo& info() const override { return info_; }

  absl::Status Check(const AttentionProblem& problem, const OptionMap&) const override {
    return CheckReportedDensePlan(problem);
  }

  int64_t WorkspaceBytes(const AttentionProblem& problem,
                         const OptionMap& /*options*/) const override {
    // What binds an expression is at most what plans it at the fewest blocks.
    const MaskPlanOptions fewest = {.block_q = kMaxBlock, .block_k = kMaxBlock};
    const int64_t binding = MaskPlanBytes(problem, fewest);
    const int64_t report = ReportedDensePlanBytes(problem, kDefaultReportBlock);
    return SaturatingAdd(ReferenceTile::Bytes(problem, problem.key_len),
                         SaturatingAdd(binding, report));
  }

  absl::StatusOr<std::unique_ptr<Execution>> Prepare(const AttentionCall& call) const override {
    std::unique_ptr<Planning> report;
    if (call.problem.wanted.plan) report = PlanReport(call);
    return std::make_unique<ReferenceExecution>(call, std::move(report));
  }

 private:
  BackendInfo info_;
};

}  // namespace

std::unique_ptr<Backend> CreateReferenceBackend() { return std::make_unique<ReferenceBackend>(); }

}  // namespace attn
