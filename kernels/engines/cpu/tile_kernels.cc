#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {

const TileKernels& Fp32TileKernels(CpuIsa isa) {
#if defined(__x86_64__)
  if (isa >= CpuIsa::kAvx512) return kAvx512Kernels;
  if (isa == CpuIsa::kAvx2) return kAvx2Kernels;
#endif
  return kPortableKernels;
}

const TileKernels& TileKernelsFor(CpuIsa isa, DType dtype) {
#if defined(__x86_64__)
  if (dtype == DType::kBFloat16 && isa == CpuIsa::kAmxBf16) return kAmxBf16Kernels;
  if (dtype == DType::kBFloat16 && isa == CpuIsa::kAvx512Bf16) return kAvx512Bf16Kernels;
#endif
  return Fp32TileKernels(isa);
}

}  // namespace attn
