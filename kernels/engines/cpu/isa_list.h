// The instruction sets that the CPU engine has kernels for.
//
// Apart from cpu_isa.h, so that the files compiled for them include nothing that runs at start:
// Abseil's status headers bring std::cout's initialiser, and it would be compiled for them too.
#ifndef ATTN_KERNELS_ENGINES_CPU_ISA_LIST_H_
#define ATTN_KERNELS_ENGINES_CPU_ISA_LIST_H_

#include <cstdint>

namespace attn {

// Ascending: a machine that runs one runs those before it.
enum class CpuIsa : uint8_t {
  kPortable,    // Any x86-64 (x86-64-v2 and older), or another architecture.
  kAvx2,        // AVX2, FMA, F16C
  kAvx512,      // AVX-512 F, BW, DQ, VL
  kAvx512Bf16,  // and its BF16 dot products
  kAmxBf16,     // Tiles of bf16, with AVX-512 BF16 for what is not a product.
};
inline constexpr CpuIsa kAllCpuIsas[] = {CpuIsa::kPortable, CpuIsa::kAvx2, CpuIsa::kAvx512,
                                         CpuIsa::kAvx512Bf16, CpuIsa::kAmxBf16};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_ISA_LIST_H_
