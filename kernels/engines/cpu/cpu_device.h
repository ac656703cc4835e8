// The processor as a device: what all of its backends share.
#ifndef ATTN_KERNELS_ENGINES_CPU_CPU_DEVICE_H_
#define ATTN_KERNELS_ENGINES_CPU_CPU_DEVICE_H_

#include <cstdint>

#include "kernels/core/buffer_pool.h"
#include "kernels/engines/cpu/cpu_isa.h"

namespace attn {

// Kept for the next call where nobody says how much.
inline constexpr int64_t kMaxIdleWorkspaceBytes = int64_t{256} << 20;

// Thread-safe. Outlives the executions that use it.
struct CpuDevice {
  CpuIsa isa = FastestCpuIsa();
  BufferPool workspace{kMaxIdleWorkspaceBytes};  // Packed keys and values, parts of outputs.
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_CPU_DEVICE_H_
