// Kernels for processors with AVX2, FMA and F16C.
#include <immintrin.h>

#include "kernels/engines/cpu/isa/fp32_kernels.h"

namespace attn {
namespace {

struct Avx2 {
  static constexpr int kVectorBytes = 32;
  // 12 sums of 8 hide the latency of a fused multiply-add (4 cycles, 2 a cycle) and leave 4 of 16
  // registers for the operands.
  static constexpr int kProductRows = 6;
  static constexpr int kProductGroups = 1;
  using Floats = VectorOf<kVectorBytes>::Floats;
  using Halves = VectorOf<kVectorBytes>::Halves;

  static Floats Max(Floats a, Floats b) { return _mm256_max_ps(a, b); }  // b if either is NaN

  static __m128i Load(const uint16_t* from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  }
  static Floats FromBFloat16(const uint16_t* from) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(Load(from)), 16));
  }
  static Floats FromFloat16(const uint16_t* from) { return _mm256_cvtph_ps(Load(from)); }
  static Halves ToFloat16(Floats v) {
    return reinterpret_cast<Halves>(_mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }
};

}  // namespace

constinit const TileKernels kAvx2Kernels = Fp32KernelsOf<Avx2>();

}  // namespace attn
