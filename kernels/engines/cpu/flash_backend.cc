#include "kernels/engines/cpu/flash_backend.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/core/ceil_divide.h"
#include "kernels/core/mask_planning.h"
#include "kernels/core/plan_report.h"
#include "kernels/core/saturating.h"
#include "kernels/core/status_macros.h"
#include "kernels/engines/cpu/engine_info.h"
#include "kernels/engines/cpu/packed_blocks.h"
#include "kernels/engines/cpu/plan_engine.h"
#include "kernels/engines/cpu/planned_execution.h"
#include "kernels/engines/cpu/work_split.h"

namespace attn {
namespace {

constexpr int64_t kDefaultBlockK = kPanelTokens;
constexpr int64_t kSmallestBlock = kLaneCount;  // Smaller ones would be padded to it.
constexpr int64_t kLargestBlock = 512;

absl::Status CheckBlock(const OptionValue& option) {
  const int64_t block = std::get<int64_t>(option.value);
  if (block >= kSmallestBlock && block <= kLargestBlock && block % kSmallestBlock == 0) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(block, " is not allowed: ", kSmallestBlock, " to ",
                                                 kLargestBlock, ", a multiple of ",
                                                 kSmallestBlock));
}

constexpr OptionSpec kOptions[] = {
    {"block_q", OptionType::kInt, "", "16 to 512, a multiple of 16",
     "queries that pass over the keys together; unset: 32 to 256, by the size of the call, and 128 "
     "with a mask expression that is more than one interval a query",
     CheckBlock},
    {"block_k", OptionType::kInt, "", "16 to 512, a multiple of 16",
     "keys of a block; unset: 256, and 128 with such an expression", CheckBlock},
};

// Of a mask of one interval a query, wherever it comes from.
ImplicitPlan DensePlan(const AttentionProblem& problem, const OptionMap& options) {
  return {.block_q = IntOption(options, "block_q", WorkSplit::DenseQueryBlock(problem)),
          .block_k = IntOption(options, "block_k", kDefaultBlockK),
          .mask = &problem.mask};
}

// Of a call with an expression.
MaskPlanOptions PlanBlocks(const AttentionProblem& problem, const OptionMap& options) {
  const ImplicitPlan dense = DensePlan(problem, options);
  MaskPlanOptions blocks;
  blocks.block_q = IntOption(options, "block_q", blocks.block_q);
  blocks.block_k = IntOption(options, "block_k", blocks.block_k);
  blocks.implicit_block_q = dense.block_q;
  blocks.implicit_block_k = dense.block_k;
  return blocks;
}

// A reported plan has the blocks that ran where the call names them.
absl::Status CheckAgainstOption(const OptionMap& options, const char* option,
                                int64_t wanted_block) {
  const int64_t block = IntOption(options, option, wanted_block);
  if (wanted_block == 0 || block == wanted_block) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("flash: outputs.plan_", option, " is ",
                                                 wanted_block, " but option ", option, " is ",
                                                 block, "; give one of them"));
}

class FlashExecution final : public Execution {
 public:
  FlashExecution(std::unique_ptr<const Plan> plan, std::unique_ptr<PlanEngine> engine)
      : plan_(std::move(plan)), engine_(std::move(engine)) {}

  int phase_count() const override { return PlanEngine::kPhaseCount; }
  Phase phase(int index) override { return engine_->phase(index); }
  absl::Status RunTile(int phase, int64_t tile, Scratch& scratch) override {
    return engine_->RunTile(phase, tile, scratch);
  }
  absl::StatusOr<RunResult> Finish() override {
    return RunResult{.stats = engine_->stats(), .plan = std::nullopt};
  }

 private:
  std::unique_ptr<const Plan> plan_;  // The engine's.
  std::unique_ptr<PlanEngine> engine_;
};

class FlashBackend final : public Backend {
 public:
  explicit FlashBackend(std::shared_ptr<CpuDevice> device) : device_(std::move(device)) {
    info_ = CpuEngineInfo(*device_);
    info_.name = "flash";
    info_.description =
        "Exact attention, blocked online softmax; masks of one interval a query are never listed.";
    info_.method = "dense";
    info_.cost_rank = 10;
    info_.options = kOptions;
  }

  const BackendInfo& info() const override { return info_; }

  absl::Status Supports(const AttentionProblem& problem) const override {
    ATTN_RETURN_IF_ERROR(Backend::Supports(problem));
    return CheckEngineScale(info_.name, problem);
  }

  absl::Status Check(const AttentionProblem& problem, const OptionMap& options) const override {
    if (!problem.wanted.plan) return absl::OkStatus();
    ATTN_RETURN_IF_ERROR(CheckAgainstOption(options, "block_q", problem.wanted.plan_block_q));
    ATTN_RETURN_IF_ERROR(CheckAgainstOption(options, "block_k", problem.wanted.plan_block_k));
    return CheckReportedDensePlan(problem, IntOption(options, "block_q", kDefaultReportBlock),
                                  IntOption(options, "block_k", kDefaultReportBlock));
  }

  int64_t WorkspaceBytes(const AttentionProblem& problem, const OptionMap& options) const override {
    const int64_t report_bytes = ReportedDensePlanBytes(
        problem, std::min(IntOption(options, "block_q", kDefaultReportBlock),
                          IntOption(options, "block_k", kDefaultReportBlock)));
    const ImplicitPlan dense = DensePlan(problem, options);
    const int64_t dense_bytes =
        PlanEngine::DenseBytes(problem, *device_, dense.block_q, dense.block_k);
    if (problem.expression == nullptr) return SaturatingAdd(dense_bytes, report_bytes);
    const MaskPlanOptions blocks = PlanBlocks(problem, options);
    const int64_t listed_bytes =
        PlanEngine::ListedBytes(problem, *device_, blocks.block_q, blocks.block_k);
    return SaturatingAdd(std::max(dense_bytes, listed_bytes),
                         SaturatingAdd(MaskPlanBytes(problem, blocks), report_bytes));
  }

  absl::StatusOr<std::unique_ptr<Execution>> Prepare(const AttentionCall& call) const override {
    const AttentionProblem& problem = call.problem;
    if (problem.expression != nullptr || problem.wanted.plan) return PreparePlanned(call);
    auto plan = std::make_unique<const Plan>(DensePlan(problem, call.options));
    ATTN_ASSIGN_OR_RETURN(auto engine, PlanEngine::Create(call, *plan, *device_));
    return std::make_unique<FlashExecution>(std::move(plan), std::move(engine));
  }

 private:
  // Where the mask is data: how it cuts the keys is found out before attention. Or where a plan is
  // to be returned: a large one takes many tiles to list.
  std::unique_ptr<Execution> PreparePlanned(const AttentionCall& call) const {
    PlannedReport report;
    if (call.problem.wanted.plan) {
      const ImplicitPlan reported = Reported(call);
      report.other = PlanReport(call, reported.block_q, reported.block_k);
    }
    return std::make_unique<PlannedExecution>(
        call, PlanMask(call, PlanBlocks(call.problem, call.options)), std::move(report), device_);
  }

  // The blocks of the plan to return.
  static ImplicitPlan Reported(const AttentionCall& call) {
    return ReportedDensePlan(call.problem, IntOption(call.options, "block_q", kDefaultReportBlock),
                             IntOption(call.options, "block_k", kDefaultReportBlock));
  }

  std::shared_ptr<CpuDevice> device_;
  BackendInfo info_;
};

}  // namespace

std::unique_ptr<Backend> CreateFlashBackend(std::shared_ptr<CpuDevice> device) {
  return std::make_unique<FlashBackend>(std::move(device));
}

}  // namespace attn
