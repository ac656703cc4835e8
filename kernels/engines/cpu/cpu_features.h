// What a processor and its system say of themselves, and which instruction sets follow from it.
//
// Pure, so that tests judge machines that are not at hand. Bits are those of Intel's manual
// (volume 2A, CPUID) and AMD's (volume 3, appendix E).
#ifndef ATTN_KERNELS_ENGINES_CPU_CPU_FEATURES_H_
#define ATTN_KERNELS_ENGINES_CPU_CPU_FEATURES_H_

#include <cstdint>

#include "kernels/engines/cpu/isa_list.h"

namespace attn {

// Values are 0 where the processor has no such leaf. Leaves 1Dh and 1Eh (shapes of AMX tiles) are
// not among them: some hypervisors hide these, and palette 1's tiles are architectural.
struct CpuFeatures {
  bool amd = false;              // Vendor `AuthenticAMD`.
  uint32_t leaf_1_ecx = 0;       // Leaf 1
  uint32_t leaf_7_ebx = 0;       // Leaf 7, subleaf 0
  uint32_t leaf_7_edx = 0;       // Leaf 7, subleaf 0
  uint32_t leaf_7_1_eax = 0;     // Leaf 7, subleaf 1
  uint64_t xcr0 = 0;             // State that the system saves; 0 where it does not use XSAVE.
  bool tile_permission = false;  // The system lets this process use tile data.
};

constexpr bool HasBits(uint64_t word, uint64_t bits) { return (word & bits) == bits; }
constexpr uint64_t Bit(int index) { return uint64_t{1} << index; }

constexpr bool HasAvx2(const CpuFeatures& cpu) {
  return HasBits(cpu.xcr0, Bit(1) | Bit(2)) &&                    // Registers xmm, ymm
         HasBits(cpu.leaf_1_ecx, Bit(12) | Bit(28) | Bit(29)) &&  // FMA, AVX, F16C
         HasBits(cpu.leaf_7_ebx, Bit(5));                         // AVX2
}

constexpr bool HasAvx512(const CpuFeatures& cpu) {
  return HasAvx2(cpu) && HasBits(cpu.xcr0, Bit(5) | Bit(6) | Bit(7)) &&   // Masks, zmm
         HasBits(cpu.leaf_7_ebx, Bit(16) | Bit(17) | Bit(30) | Bit(31));  // F, DQ, BW, VL
}

constexpr bool HasAvx512Bf16(const CpuFeatures& cpu) {
  return HasAvx512(cpu) && HasBits(cpu.leaf_7_1_eax, Bit(5));
}

// Tiles of bf16 by processor and saved state; their use needs the system's permission as well.
constexpr bool HasTiles(const CpuFeatures& cpu) {
  return HasBits(cpu.xcr0, Bit(17) | Bit(18)) &&      // Tile configuration, tile data
         HasBits(cpu.leaf_7_edx, Bit(22) | Bit(24));  // AMX-BF16, AMX-TILE
}

constexpr bool Runs(const CpuFeatures& cpu, CpuIsa isa) {
  switch (isa) {
    case CpuIsa::kPortable:
      return true;
    case CpuIsa::kAvx2:
      return HasAvx2(cpu);
    case CpuIsa::kAvx512:
      return HasAvx512(cpu);
    case CpuIsa::kAvx512Bf16:
      return HasAvx512Bf16(cpu);
    case CpuIsa::kAmxBf16:
      return HasAvx512Bf16(cpu) && HasTiles(cpu) && cpu.tile_permission;
  }
  return false;
}

// See FastestCpuIsa() in cpu_isa.h.
constexpr CpuIsa FastestOf(const CpuFeatures& cpu) {
  CpuIsa fastest = CpuIsa::kPortable;
  for (const CpuIsa isa : kAllCpuIsas) {
    const bool slow_products = isa == CpuIsa::kAvx512Bf16 && !cpu.amd;
    if (Runs(cpu, isa) && !slow_products) fastest = isa;
  }
  return fastest;
}

// Of this machine. Asks the system for permission where there are tiles.
CpuFeatures ReadCpuFeatures();

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_CPU_FEATURES_H_
