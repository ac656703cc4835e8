// THE list of backends that this build has, and how others join them. The only file pair with
// build-feature conditionals.
#ifndef ATTN_KERNELS_BUILTIN_BACKENDS_H_
#define ATTN_KERNELS_BUILTIN_BACKENDS_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/core/backend.h"
#include "kernels/core/buffer_pool.h"
#include "kernels/core/mask_function.h"
#include "kernels/core/registry.h"
#include "kernels/engines/cpu/cpu_device.h"
#include "kernels/engines/cpu/cpu_isa.h"

namespace attn {

struct BuiltinOptions {
  CpuIsa cpu_isa = FastestCpuIsa();            // One that the machine runs.
  BufferPool buffers = CpuDevice().workspace;  // Where the CPU's backends take their workspaces.
};

// Backends and mask functions from outside the tree: of plug-ins, or of a program that links the
// library and brings its own.
struct OwnBackends {
  std::vector<std::unique_ptr<Backend>> backends;
  std::vector<std::unique_ptr<MaskFunction>> mask_functions;
};

// Every backend of this build, those that this machine cannot run included, and `own`; each within
// the stages that all backends share (kernels/stages). The error is Registry::Create's.
absl::StatusOr<Registry> CreateBuiltinRegistry(const BuiltinOptions& options = {},
                                               OwnBackends own = {});

}  // namespace attn

#endif  // ATTN_KERNELS_BUILTIN_BACKENDS_H_
