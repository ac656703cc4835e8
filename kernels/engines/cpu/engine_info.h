// What every backend on the CPU's plan engine says of itself.
#ifndef ATTN_KERNELS_ENGINES_CPU_ENGINE_INFO_H_
#define ATTN_KERNELS_ENGINES_CPU_ENGINE_INFO_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "kernels/core/attention_problem.h"
#include "kernels/core/backend.h"
#include "kernels/engines/cpu/cpu_device.h"

namespace attn {

// Device, engine, precision, variant, and the capabilities of the engine; name, method and order
// are the backend's to add.
BackendInfo CpuEngineInfo(const CpuDevice& device);

// OK, or UNIMPLEMENTED if the scale is beyond what fp32 products are safe with (softmax_scale.h).
// The same with score modifiers: products are taken before any of them.
absl::Status CheckEngineScale(absl::string_view backend, const AttentionProblem& problem);

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_ENGINE_INFO_H_
