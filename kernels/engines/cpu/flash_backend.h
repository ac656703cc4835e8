// Backend `flash`: exact attention, the implicit dense plan on the CPU's plan engine.
#ifndef ATTN_KERNELS_ENGINES_CPU_FLASH_BACKEND_H_
#define ATTN_KERNELS_ENGINES_CPU_FLASH_BACKEND_H_

#include <memory>

#include "kernels/core/backend.h"
#include "kernels/engines/cpu/cpu_device.h"

namespace attn {

// All backends of the processor share `device`.
std::unique_ptr<Backend> CreateFlashBackend(std::shared_ptr<CpuDevice> device);

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_FLASH_BACKEND_H_
