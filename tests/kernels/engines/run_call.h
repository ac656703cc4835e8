// Ways to run a call or a plan in tests, on each instruction set that the machine has.
#ifndef ATTN_TESTS_KERNELS_ENGINES_RUN_CALL_H_
#define ATTN_TESTS_KERNELS_ENGINES_RUN_CALL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/backend.h"
#include "kernels/core/block_plan.h"
#include "kernels/core/registry.h"
#include "kernels/core/run_stats.h"
#include "kernels/engines/cpu/cpu_isa.h"
#include "tests/kernels/engines/conformance.h"
#include "tests/support/amx_emulator.h"

namespace attn {

// An exact backend with inputs of a dtype, on an instruction set where it has several.
struct TestedEngine {
  std::string name;  // `eager_fp32`, `flash_avx2_bf16`; letters, digits and underscores.
  std::string backend;
  CpuIsa isa = CpuIsa::kPortable;
  DType dtype = DType::kFloat32;
};
std::ostream& operator<<(std::ostream& out, const TestedEngine& engine);

// All of them, or those of backend `flash` alone, with inputs of these dtypes; `flash` on each of
// TestedIsas.
std::vector<TestedEngine> TestedEngines(const std::vector<DType>& dtypes);
std::vector<TestedEngine> TestedFlash(const std::vector<DType>& dtypes);

// All that the CPU's engine runs here, ascending, but those that take another's kernels for inputs
// of the dtype. AMX under an emulator where the machine lacks it.
std::vector<CpuIsa> TestedIsas(DType dtype);

// While it lives, calls may run on the instruction set.
class IsaInUse {
 public:
  explicit IsaInUse(CpuIsa isa);

 private:
  std::optional<AmxEmulator> emulator_;
};

Registry BackendsOn(CpuIsa isa);

// Of the CPU's engine.
Roundoff RoundoffOn(CpuIsa isa, DType dtype);
Roundoff RoundoffOf(const TestedEngine& engine);

// Runs the tiles of each phase in an order drawn from `seed` on `threads` threads.
absl::StatusOr<RunResult> RunOnThreads(const Backend& backend, const AttentionCall& call,
                                       int threads, uint64_t seed);

// Runs all calls on one thread, a tile of each in turn.
absl::Status RunInterleaved(const Backend& backend, const std::vector<const AttentionCall*>& calls);

// Runs the CPU's engine on a plan, the tiles of each phase in turn from `first_tile` around.
absl::StatusOr<RunStats> RunPlan(const AttentionCall& call, const Plan& plan, CpuIsa isa,
                                 int64_t first_tile = 0);

// Likewise, the tiles of each phase in an order drawn from `seed` on `threads` threads.
absl::StatusOr<RunStats> RunPlanOnThreads(const AttentionCall& call, const Plan& plan, CpuIsa isa,
                                          int threads, uint64_t seed);

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_ENGINES_RUN_CALL_H_
