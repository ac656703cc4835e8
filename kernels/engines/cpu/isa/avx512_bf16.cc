// Kernels for processors with AVX-512's BF16 dot products: bf16 operands, fp32 sums.
#include <immintrin.h>

#include "kernels/engines/cpu/isa/avx512_vector.h"
#include "kernels/engines/cpu/isa/bf16_forms.h"
#include "kernels/engines/cpu/isa/product.h"

namespace attn {
namespace {

struct File {};
using Isa = Avx512<File>;

// A step is a pair of bf16: both products are added to the sum at once.
struct PairStep {
  [[gnu::always_inline]] static void Add(Isa::Floats& sum, float a, Isa::Floats b) {
    const __m512 pair = _mm512_set1_ps(a);
    sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(pair),
                           reinterpret_cast<__m512bh>(static_cast<__m512>(b)));
  }
};

constexpr TileKernels Kernels() {
  TileKernels kernels = Bf16KernelsOf<Isa>();
  kernels.compute_scores = ComputeScores<Isa, PairStep, 2>;
  kernels.accumulate_values = AccumulateValues<Isa, PairStep, 2>;
  return kernels;
}

}  // namespace

constinit const TileKernels kAvx512Bf16Kernels = Kernels();

}  // namespace attn
