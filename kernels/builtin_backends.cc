#include "kernels/builtin_backends.h"

#include <memory>
#include <utility>
#include <vector>

#include "kernels/core/backend.h"
#include "kernels/engines/cpu/cpu_device.h"
#include "kernels/engines/cpu/flash_backend.h"
#include "kernels/engines/reference/reference_backend.h"

namespace attn {

absl::StatusOr<Registry> CreateBuiltinRegistry(const BuiltinOptions& options) {
  const auto cpu = std::make_shared<CpuDevice>(CpuDevice{options.cpu_isa, options.buffers});
  std::vector<std::unique_ptr<Backend>> backends;
  //                                            name   = method x engine    x precision
  backends.push_back(CreateReferenceBackend());  // eager  = dense  x reference x fp64
  backends.push_back(CreateFlashBackend(cpu));   // flash  = dense  x cpu       x mixed or fp32
  return Registry::Create(std::move(backends));
}

}  // namespace attn
