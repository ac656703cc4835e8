// Which of the CPU engine's instruction sets this machine runs, and which it uses.
#ifndef ATTN_KERNELS_ENGINES_CPU_CPU_ISA_H_
#define ATTN_KERNELS_ENGINES_CPU_CPU_ISA_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/engines/cpu/isa_list.h"

namespace attn {

// `portable`, `avx2`, `avx512`, `avx512_bf16`, `amx_bf16`
absl::string_view Name(CpuIsa isa);

// What this processor and operating system run, ascending; never empty. Asks the system for the
// use of AMX, once a process. Thread-safe.
const std::vector<CpuIsa>& SupportedCpuIsas();

// The one to use unasked: the fastest supported. kAvx512Bf16 only where its products are faster
// than fp32's: on AMD's processors; on Intel's they run at half that rate (spec: 112 to 119 against
// 236 to 240 GFLOP/s a core), and AMX is there instead.
CpuIsa FastestCpuIsa();

// `auto` or a name. INVALID_ARGUMENT names what there is; FAILED_PRECONDITION if this machine lacks
// it, with what it has.
absl::StatusOr<CpuIsa> ParseCpuIsa(absl::string_view name);

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_CPU_ISA_H_
