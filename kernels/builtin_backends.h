// THE list of backends that this build has. The only file pair with build-feature conditionals.
#ifndef ATTN_KERNELS_BUILTIN_BACKENDS_H_
#define ATTN_KERNELS_BUILTIN_BACKENDS_H_

#include "absl/status/statusor.h"
#include "kernels/core/buffer_pool.h"
#include "kernels/core/registry.h"
#include "kernels/engines/cpu/cpu_device.h"
#include "kernels/engines/cpu/cpu_isa.h"

namespace attn {

struct BuiltinOptions {
  CpuIsa cpu_isa = FastestCpuIsa();
  BufferPool buffers = CpuDevice().workspace;  // The CPU's.
};

absl::StatusOr<Registry> CreateBuiltinRegistry(const BuiltinOptions& options = {});

}  // namespace attn

#endif  // ATTN_KERNELS_BUILTIN_BACKENDS_H_
