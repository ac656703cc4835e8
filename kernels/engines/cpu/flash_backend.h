// Backend `flash`: exact attention, the implicit dense plan on the CPU's plan engine.
#ifndef ATTN_KERNELS_ENGINES_CPU_FLASH_BACKEND_H_
#define ATTN_KERNELS_ENGINES_CPU_FLASH_BACKEND_H_

#include <memory>

#include "kernels/core/backend.h"

namespace attn {

std::unique_ptr<Backend> CreateFlashBackend();

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_FLASH_BACKEND_H_
