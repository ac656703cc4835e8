// A method on the CPU's plan engine.
#ifndef ATTN_KERNELS_ENGINES_CPU_PLANNED_BACKEND_H_
#define ATTN_KERNELS_ENGINES_CPU_PLANNED_BACKEND_H_

#include <memory>

#include "kernels/core/backend.h"
#include "kernels/core/method.h"
#include "kernels/engines/cpu/cpu_device.h"

namespace attn {

// Features are those that both the method's planning and the engine honour.
std::unique_ptr<Backend> CreatePlannedBackend(std::unique_ptr<const Method> method, int cost_rank,
                                              std::shared_ptr<CpuDevice> device);

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_PLANNED_BACKEND_H_
