#include "client/guidance.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// As Python's math.isclose has it, by which diffusers asks whether a scale changes anything.
constexpr double kIsCloseTolerance = 1e-9;

bool IsClose(double a, double b) {
  return std::abs(a - b) <= kIsCloseTolerance * std::max(std::abs(a), std::abs(b));
}

// A prediction and whether its term is in the sum.
struct Prediction {
  absl::string_view name;
  std::span<const float> values;
  bool active;
};

absl::Status CheckPredictions(int64_t samples, double rescale, std::span<const float> cond,
                              std::span<const Prediction> others, std::span<const float> out) {
  const size_t size = cond.size();
  if (samples < 1 || size % static_cast<size_t>(samples) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("samples is ", samples, ", not a divisor of the ", size, " elements of cond"));
  }
  if (rescale != 0 && size / static_cast<size_t>(samples) == 1) {
    return absl::InvalidArgumentError(
        "rescale is not 0, but samples of 1 element have no standard deviation");
  }
  for (const Prediction& other : others) {
    if (other.values.empty() && !other.active) continue;
    if (other.values.size() == size) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(other.name, " has ", other.values.size(), " elements, not cond's ", size,
                     other.active ? "" : " or, its term not being active, none"));
  }
  if (out.size() != size) {
    return absl::InvalidArgumentError(
        absl::StrCat("out has ", out.size(), " elements, not cond's ", size));
  }
  return absl::OkStatus();
}

// Standard deviation with n - 1 in the denominator, as torch's; in one pass (Welford).
class Deviation {
 public:
  void Add(double value) {
    ++count_;
    const double from_old_mean = value - mean_;
    mean_ += from_old_mean / count_;
    squares_ += from_old_mean * (value - mean_);
  }
  double value() const { return std::sqrt(squares_ / (count_ - 1)); }

 private:
  double count_ = 0;
  double mean_ = 0;
  double squares_ = 0;
};

// out[i] = combine(i), each sample rescaled to the deviation of cond. `out` may be what `combine`
// reads at i: where the deviations are needed everything is computed twice.
template <typename Combine>
void Fill(int64_t samples, double rescale, std::span<const float> cond, const Combine& combine,
          std::span<float> out) {
  const size_t per_sample = cond.size() / static_cast<size_t>(samples);
  for (size_t begin = 0; begin < cond.size(); begin += per_sample) {
    const size_t end = begin + per_sample;
    double factor = 1;
    if (rescale != 0) {
      Deviation wanted;
      Deviation combined;
      for (size_t i = begin; i < end; ++i) {
        wanted.Add(cond[i]);
        combined.Add(combine(i));
      }
      factor = rescale * wanted.value() / combined.value() + (1 - rescale);
    }
    for (size_t i = begin; i < end; ++i) out[i] = static_cast<float>(factor * combine(i));
  }
}

// factor * (from - without), 0 where the term is not active: its prediction may be absent.
struct Term {
  double factor;
  std::span<const float> without;

  double At(size_t i, double from) const { return factor == 0 ? 0 : factor * (from - without[i]); }
};

}  // namespace

bool SkipLayerGuidance::GuidanceActive(int64_t step, int64_t step_count) const {
  const auto count = static_cast<double>(step_count);
  const auto at = static_cast<double>(step);
  const bool idle = IsClose(guidance_scale, original_formulation ? 0 : 1);
  return !idle && std::trunc(start * count) <= at && at < std::trunc(stop * count);
}

bool SkipLayerGuidance::SkipActive(int64_t step, int64_t step_count) const {
  const auto count = static_cast<double>(step_count);
  const auto at = static_cast<double>(step);
  return skip_scale != 0 && std::trunc(skip_start * count) < at &&
         at < std::trunc(skip_stop * count);
}

absl::Status ApplyGuidance(const SkipLayerGuidance& guidance, int64_t step, int64_t step_count,
                           int64_t samples, std::span<const float> cond,
                           std::span<const float> uncond, std::span<const float> skip,
                           std::span<float> out) {
  if (step < 0 || step >= step_count) {
    return absl::InvalidArgumentError(
        absl::StrCat("step is ", step, ", not one of the ", step_count, " steps from 0"));
  }
  const bool guided = guidance.GuidanceActive(step, step_count);
  const bool skipping = guidance.SkipActive(step, step_count);
  const Prediction others[] = {{"uncond", uncond, guided}, {"skip", skip, skipping}};
  ATTN_RETURN_IF_ERROR(CheckPredictions(samples, guidance.rescale, cond, others, out));

  std::span<const float> base = cond;
  if (!guidance.original_formulation && guided) base = uncond;
  if (!guidance.original_formulation && !guided && skipping) base = skip;
  const Term guided_term = {guided ? guidance.guidance_scale : 0, uncond};
  const Term skip_term = {skipping ? guidance.skip_scale : 0, skip};
  const auto combine = [&](size_t i) {
    return base[i] + guided_term.At(i, cond[i]) + skip_term.At(i, cond[i]);
  };
  Fill(samples, guidance.rescale, cond, combine, out);
  return absl::OkStatus();
}

absl::Status ApplyGuidance(const SpatioTemporalGuidance& guidance, int64_t samples,
                           std::span<const float> cond, std::span<const float> uncond,
                           std::span<const float> perturbed, std::span<const float> modality,
                           std::span<float> out) {
  const Term guided = {guidance.guidance_scale - 1, uncond};
  const Term perturbation = {guidance.stg_scale, perturbed};
  const Term modal = {guidance.modality_scale - 1, modality};
  const Prediction others[] = {{"uncond", uncond, guided.factor != 0},
                               {"perturbed", perturbed, perturbation.factor != 0},
                               {"modality", modality, modal.factor != 0}};
  ATTN_RETURN_IF_ERROR(CheckPredictions(samples, guidance.rescale, cond, others, out));
  const auto combine = [&](size_t i) {
    const double value = cond[i];
    return value + guided.At(i, value) + perturbation.At(i, value) + modal.At(i, value);
  };
  Fill(samples, guidance.rescale, cond, combine, out);
  return absl::OkStatus();
}

}  // namespace attn
