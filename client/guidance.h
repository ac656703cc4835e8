// The guidance sums that go with skipped attention scores. Predictions are the caller's, flattened,
// of equal size.
#ifndef ATTN_CLIENT_GUIDANCE_H_
#define ATTN_CLIENT_GUIDANCE_H_

#include <cstdint>
#include <span>

#include "absl/status/status.h"

namespace attn {

// Skip-layer guidance, as diffusers' SkipLayerGuidance:
//   base + guidance_scale * (cond - uncond) + skip_scale * (cond - skip)
// where base is uncond, or cond in the original formulation, or skip if it alone is active; cond
// alone if nothing is. Then rescaled: x * (rescale * std(cond) / std(x) + 1 - rescale), std of each
// sample (arXiv 2305.08891).
struct SkipLayerGuidance {
  double guidance_scale = 7.5;
  double skip_scale = 2.8;
  double rescale = 0;
  bool original_formulation = false;
  // Fractions of the steps within which each term is active: classifier-free guidance for
  // int(start * n) <= step < int(stop * n), the skip term for int(skip_start * n) < step <
  // int(skip_stop * n), both ends excluded.
  double start = 0;
  double stop = 1;
  double skip_start = 0.01;
  double skip_stop = 0.2;

  bool GuidanceActive(int64_t step, int64_t step_count) const;
  bool SkipActive(int64_t step, int64_t step_count) const;
};

// `uncond` and `skip` may be empty where their term is not active, and only there. `samples` = size
// of the first axis. INVALID_ARGUMENT names what does not fit. `out` may be one of the inputs.
absl::Status ApplyGuidance(const SkipLayerGuidance& guidance, int64_t step, int64_t step_count,
                           int64_t samples, std::span<const float> cond,
                           std::span<const float> uncond, std::span<const float> skip,
                           std::span<float> out);

// Spatio-temporal guidance as LTX-2 combines it:
//   cond + (guidance_scale - 1) * (cond - uncond) + stg_scale * (cond - perturbed)
//        + (modality_scale - 1) * (cond - modality), then rescaled.
struct SpatioTemporalGuidance {
  double guidance_scale = 3;
  double stg_scale = 1;
  double modality_scale = 1;
  double rescale = 0;
};

// A prediction may be empty where its factor is 0, and only there. LTX-2 combines estimates of x0.
absl::Status ApplyGuidance(const SpatioTemporalGuidance& guidance, int64_t samples,
                           std::span<const float> cond, std::span<const float> uncond,
                           std::span<const float> perturbed, std::span<const float> modality,
                           std::span<float> out);

}  // namespace attn

#endif  // ATTN_CLIENT_GUIDANCE_H_
