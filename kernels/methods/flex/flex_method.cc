#include "kernels/methods/flex/flex_method.h"

#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/core/ceil_divide.h"
#include "kernels/core/limits.h"
#include "kernels/core/mask_planning.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

constexpr int64_t kDefaultBlock = 128;  // As torch's create_block_mask.
constexpr int64_t kSmallestBlock = 16;  // Smaller ones would be padded to it by the engine.
constexpr int64_t kLargestBlock = 4096;

// Blocks of a plan, listed or not, over all samples and heads that it tells apart: 32 heads of
// 65536 tokens, or one list of 370000 tokens, at 128 x 128. They may take 3 * 128 MiB.
constexpr int64_t kMaxPlanBlocks = int64_t{1} << 23;

absl::Status CheckBlock(const OptionValue& option) {
  const int64_t block = std::get<int64_t>(option.value);
  if (block >= kSmallestBlock && block <= kLargestBlock) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(block, " is not allowed: ", kSmallestBlock, " to ", kLargestBlock));
}

constexpr OptionSpec kOptions[] = {
    {"block_q", OptionType::kInt, "128", "16 to 4096", "queries of a block of the plan",
     CheckBlock},
    {"block_kv", OptionType::kInt, "128", "16 to 4096", "keys of a block of the plan", CheckBlock},
};

MaskPlanOptions BlocksOf(const OptionMap& options) {
  return {.block_q = IntOption(options, "block_q", kDefaultBlock),
          .block_k = IntOption(options, "block_kv", kDefaultBlock),
          .implicit_intervals = false};
}

// The reported plan is the one that ran.
absl::Status CheckReported(const char* output, int64_t wanted, const char* option, int64_t block) {
  if (wanted == 0 || wanted == block) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("flex: outputs.", output, " is ", wanted, ", allowed: 0 or ", block,
                   ", the blocks that run, which option ", option, " sets"));
}

// In floating point: lengths are below 2^31, as are batch and heads.
double PlanBlocks(const AttentionProblem& problem, const MaskPlanOptions& blocks) {
  const MaskExpression* expression = problem.expression.get();
  const bool per_sample =
      problem.mask.per_sample() || (expression != nullptr && expression->per_sample());
  const bool per_head = expression != nullptr && expression->per_head();
  return static_cast<double>(per_sample ? problem.batch : int64_t{1}) *
         static_cast<double>(per_head ? problem.heads : int64_t{1}) *
         static_cast<double>(CeilDivide(problem.query_len, blocks.block_q)) *
         static_cast<double>(CeilDivide(problem.key_len, blocks.block_k));
}

class FlexMethod final : public Method {
 public:
  FlexMethod() {
    info_.name = "flex";
    info_.description =
        "Exact attention over the blocks that the call's mask leaves, as torch's flex attention.";
    info_.exact = true;
    info_.capabilities.max_head_dim = kMaxHeadDim;
    info_.capabilities.features = {Feature::kCausal,     Feature::kWindow,  Feature::kLengths,
                                   Feature::kPacked,     Feature::kGqa,     Feature::kScale,
                                   Feature::kExpression, Feature::kSoftcap, Feature::kBias,
                                   Feature::kAlibi,      Feature::kSinks,   Feature::kReplicated,
                                   Feature::kLse,        Feature::kPlan};
    info_.options = kOptions;
  }

  const MethodInfo& info() const override { return info_; }

  absl::Status Check(const AttentionProblem& problem, const OptionMap& options) const override {
    const MaskPlanOptions blocks = BlocksOf(options);
    if (problem.wanted.plan) {
      ATTN_RETURN_IF_ERROR(
          CheckReported("plan_block_q", problem.wanted.plan_block_q, "block_q", blocks.block_q));
      ATTN_RETURN_IF_ERROR(
          CheckReported("plan_block_k", problem.wanted.plan_block_k, "block_kv", blocks.block_k));
    }
    const double planned = PlanBlocks(problem, blocks);
    if (planned <= static_cast<double>(kMaxPlanBlocks)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("flex: the plan at blocks of ", blocks.block_q, " x ", blocks.block_k, " has ",
                     planned, " blocks over its samples and heads, allowed: ", kMaxPlanBlocks,
                     "; set larger ones with options block_q and block_kv"));
  }

  Blocks SmallestBlocks(const AttentionProblem& /*problem*/,
                        const OptionMap& options) const override {
    const MaskPlanOptions blocks = BlocksOf(options);
    return {blocks.block_q, blocks.block_k};
  }

  int64_t PlanBytes(const AttentionProblem& problem, const OptionMap& options) const override {
    return MaskPlanBytes(problem, BlocksOf(options), kMaxPlanBlocks);
  }

  std::unique_ptr<Planning> Plan(const AttentionCall& call) const override {
    return PlanMask(call, BlocksOf(call.options));
  }

 private:
  MethodInfo info_;
};

}  // namespace

std::unique_ptr<Method> CreateFlexMethod() { return std::make_unique<FlexMethod>(); }

}  // namespace attn
