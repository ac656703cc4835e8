// The processor as a device: what all of its backends share.
#ifndef ATTN_KERNELS_ENGINES_CPU_CPU_DEVICE_H_
#define ATTN_KERNELS_ENGINES_CPU_CPU_DEVICE_H_

#include <cstdint>

#include "kernels/core/buffer_pool.h"
#include "kernels/engines/cpu/cpu_isa.h"

namespace attn {

// Packed keys and values, and parts of outputs, are kept for the next call up to this much.
inline constexpr int64_t kMaxIdleWorkspaceBytes = int64_t{256} << 20;

// Thread-safe. Outlives the executions that use it.
struct CpuDevice {
  CpuIsa isa = FastestCpuIsa();
  BufferPool workspace{kMaxIdleWorkspaceBytes};
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_CPU_DEVICE_H_
