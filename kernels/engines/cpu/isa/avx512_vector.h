// The 64-byte registers of AVX-512 (F, BW, DQ, VL), for the files here that are compiled for it.
#ifndef ATTN_KERNELS_ENGINES_CPU_ISA_AVX512_VECTOR_H_
#define ATTN_KERNELS_ENGINES_CPU_ISA_AVX512_VECTOR_H_

#include <immintrin.h>

#include <cstdint>

#include "kernels/engines/cpu/isa/vector.h"

namespace attn {

// `File` is a type of the including file's anonymous namespace (vector.h says why).
template <typename File>
struct Avx512 {
  static constexpr int kVectorBytes = 64;
  static constexpr int kProductRows = 8;
  static constexpr int kProductGroups = 2;
  using Floats = VectorOf<kVectorBytes>::Floats;
  using Halves = VectorOf<kVectorBytes>::Halves;

  static Floats Max(Floats a, Floats b) { return _mm512_max_ps(a, b); }  // b if either is NaN

  static __m256i Load(const uint16_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static Floats FromBFloat16(const uint16_t* from) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(Load(from)), 16));
  }
  static Floats FromFloat16(const uint16_t* from) { return _mm512_cvtph_ps(Load(from)); }
  static Halves ToFloat16(Floats v) {
    return reinterpret_cast<Halves>(_mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_ISA_AVX512_VECTOR_H_
