#include "kernels/core/score_modifiers.h"

#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

std::string BracketedShape(std::span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

// Its shape is not looked at.
absl::StatusOr<TensorView> FindModifierTensor(const char* field, const std::string& name,
                                              const TensorMap& tensors) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) {
    return absl::InvalidArgumentError(absl::StrCat("modifiers.", field, " names the tensor `", name,
                                                   "`, which the call does not have"));
  }
  if (!IsFloat(found->second.dtype)) {
    return absl::InvalidArgumentError(absl::StrCat("modifiers.", field, ": tensor `", name, "` is ",
                                                   Name(found->second.dtype),
                                                   ", allowed: fp32, fp16, bf16"));
  }
  return found->second;
}

absl::Status ModifierShapeError(const char* field, const std::string& name,
                                const TensorView& tensor, const std::string& allowed) {
  return absl::InvalidArgumentError(
      absl::StrCat("modifiers.", field, ": tensor `", name, "` has the shape ",
                   BracketedShape(tensor.layout.shape()), ", allowed: ", allowed));
}

absl::Status CheckBias(const std::string& name, const MaskSizes& sizes, const TensorMap& tensors) {
  if (name.empty()) return absl::OkStatus();
  ATTN_ASSIGN_OR_RETURN(const TensorView bias, FindModifierTensor("bias", name, tensors));
  const int64_t full[] = {sizes.batch, sizes.heads, sizes.query_len, sizes.key_len};
  bool fits = bias.layout.rank == 4;
  for (int axis = 0; fits && axis < 4; ++axis) {
    fits = bias.dim(axis) == full[axis] || bias.dim(axis) == 1;
  }
  if (fits) return absl::OkStatus();
  return ModifierShapeError("bias", name, bias, BracketedShape(full) + ", or 1 along any axis");
}

// A value a head.
absl::Status CheckPerHead(const char* field, const std::string& name, bool per_sample,
                          const MaskSizes& sizes, const TensorMap& tensors) {
  if (name.empty()) return absl::OkStatus();
  ATTN_ASSIGN_OR_RETURN(const TensorView tensor, FindModifierTensor(field, name, tensors));
  const int rank = tensor.layout.rank;
  if (rank == 1 && tensor.dim(0) == sizes.heads) return absl::OkStatus();
  if (per_sample && rank == 2 && tensor.dim(0) == sizes.batch && tensor.dim(1) == sizes.heads) {
    return absl::OkStatus();
  }
  std::string allowed = absl::StrCat("[", sizes.heads, "]");
  if (per_sample) absl::StrAppend(&allowed, " or [", sizes.batch, ", ", sizes.heads, "]");
  return ModifierShapeError(field, name, tensor, allowed);
}

}  // namespace

// Engines compute with it in fp32, where a smaller one would be 0 and a larger one infinite.
absl::Status CheckSoftcap(double softcap) {
  constexpr double kSmallest = std::numeric_limits<float>::min();
  constexpr double kLargest = std::numeric_limits<float>::max();
  if (softcap >= kSmallest && softcap <= kLargest) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("modifiers.softcap is ", softcap, ", allowed: ", kSmallest, " to ", kLargest));
}

absl::Status CheckScoreModifiers(const ScoreModifiers& modifiers, const MaskSizes& sizes,
                                 const TensorMap& tensors) {
  if (modifiers.softcap != 0) ATTN_RETURN_IF_ERROR(CheckSoftcap(modifiers.softcap));
  ATTN_RETURN_IF_ERROR(CheckBias(modifiers.bias, sizes, tensors));
  ATTN_RETURN_IF_ERROR(
      CheckPerHead("alibi_slopes", modifiers.alibi_slopes, /*per_sample=*/true, sizes, tensors));
  return CheckPerHead("sinks", modifiers.sinks, /*per_sample=*/false, sizes, tensors);
}

}  // namespace attn
