#include "kernels/builtin_backends.h"

#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/core/backend.h"
#include "kernels/engines/cpu/cpu_device.h"
#include "kernels/engines/cpu/flash_backend.h"
#include "kernels/engines/cpu/planned_backend.h"
#include "kernels/engines/reference/reference_backend.h"
#include "kernels/methods/flex/flex_method.h"
#include "kernels/stages/staged_backend.h"

namespace attn {
namespace {

// Exact like flash (10), after it in the automatic order: it lists every plan. Before eager (100).
constexpr int kFlexCostRank = 20;

}  // namespace

absl::StatusOr<Registry> CreateBuiltinRegistry(const BuiltinOptions& options, OwnBackends own) {
  const auto cpu = std::make_shared<CpuDevice>(CpuDevice{options.cpu_isa, options.buffers});
  std::vector<std::unique_ptr<Backend>> backends;
  // name = method x engine x precision
  // eager = dense x reference x fp64
  backends.push_back(CreateReferenceBackend());
  // flash = dense x cpu x mixed or fp32
  backends.push_back(CreateFlashBackend(cpu));
  // flex = flex x cpu x mixed or fp32
  backends.push_back(CreatePlannedBackend(CreateFlexMethod(), kFlexCostRank, cpu));
  std::move(own.backends.begin(), own.backends.end(), std::back_inserter(backends));
  for (std::unique_ptr<Backend>& backend : backends) {
    if (backend != nullptr) backend = WithStages(std::move(backend), options.buffers);
  }
  return Registry::Create(std::move(backends), std::move(own.mask_functions));
}

}  // namespace attn
