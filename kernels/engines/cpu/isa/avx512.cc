// Kernels for processors with AVX-512 F, BW, DQ and VL.
#include "kernels/engines/cpu/isa/avx512_vector.h"
#include "kernels/engines/cpu/isa/fp32_kernels.h"

namespace attn {
namespace {

struct File {};

}  // namespace

constinit const TileKernels kAvx512Kernels = Fp32KernelsOf<Avx512<File>>();

}  // namespace attn
