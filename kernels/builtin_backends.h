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
  CpuIsa cpu_isa = FastestCpuIsa();            // One that the machine runs.
  BufferPool buffers = CpuDevice().workspace;  // Where the CPU's backends take their workspaces.
};

// Every backend of this build, those that this machine cannot run included. The error is
// Registry::Create's.
absl::StatusOr<Registry> CreateBuiltinRegistry(const BuiltinOptions& options = {});

}  // namespace attn

#endif  // ATTN_KERNELS_BUILTIN_BACKENDS_H_
