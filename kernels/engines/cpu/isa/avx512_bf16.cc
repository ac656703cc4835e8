// Kernels for processors with AVX-512's BF16 dot products: bf16 operands, fp32 sums.
#include <immintrin.h>

#include "kernels/engines/cpu/isa/avx512_vector.h"
#include "kernels/engines/cpu/isa/bf16_forms.h"
#include "kernels/engines/cpu/isa/product.h"
#include "kernels/engines/cpu/isa/rows.h"
#include "kernels/engines/cpu/isa/softmax.h"

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

}  // namespace

const TileKernels kAvx512Bf16Kernels = {.isa = CpuIsa::kAvx512Bf16,
                                        .operand = Operand::kBFloat16,
                                        .depth_multiple = 2,
                                        .token_multiple = 2,
                                        .column_multiple = kLaneCount,
                                        .enter = nullptr,
                                        .leave = nullptr,
                                        .load_row = LoadRowAs<Isa>,
                                        .store_row = StoreRowAs<Isa>,
                                        .pack_keys = PackBf16Keys<Isa>,
                                        .pack_values = PackBf16Values<Isa>,
                                        .compute_scores = ComputeScores<Isa, PairStep, 2>,
                                        .hide_scores = HideScores<Isa>,
                                        .update_softmax = UpdateSoftmax<Isa, Bf16Weights<Isa>>,
                                        .accumulate_values = AccumulateValues<Isa, PairStep, 2>,
                                        .stream_scores = nullptr,
                                        .stream_values = nullptr};

}  // namespace attn
