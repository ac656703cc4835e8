#include "kernels/engines/cpu/engine_info.h"

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "kernels/core/limits.h"
#include "kernels/engines/cpu/softmax_scale.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {

BackendInfo CpuEngineInfo(const CpuDevice& device) {
  BackendInfo info;
  info.device = "cpu";
  info.engine = "cpu";
  const bool bf16_operands =
      TileKernelsFor(device.isa, DType::kBFloat16).operand == Operand::kBFloat16;
  info.precision = bf16_operands ? "mixed" : "fp32";
  info.variant = std::string(Name(device.isa));
  info.capabilities.max_head_dim = kMaxHeadDim;
  info.capabilities.dtypes = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};
  info.capabilities.features = {
      Feature::kCausal, Feature::kWindow,     Feature::kLengths, Feature::kPacked, Feature::kGqa,
      Feature::kScale,  Feature::kExpression, Feature::kSoftcap, Feature::kBias,   Feature::kAlibi,
      Feature::kSinks,  Feature::kReplicated, Feature::kLse,     Feature::kPlan};
  return info;
}

absl::Status CheckEngineScale(absl::string_view backend, const AttentionProblem& problem) {
  const double magnitude = std::abs(problem.scale);
  if (magnitude == 0 || (magnitude >= kMinScale && magnitude <= kMaxScale)) {
    return absl::OkStatus();
  }
  return absl::UnimplementedError(
      absl::StrCat(backend, ": scale ", problem.scale,
                   " not supported, supported: 0 and 2^-64 to 2^64 of either sign; 'eager' "
                   "computes in fp64"));
}

}  // namespace attn
