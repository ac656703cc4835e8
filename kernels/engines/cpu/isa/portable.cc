// Kernels for any processor, by vectors of 16 bytes: on x86-64 they ask for SSE2 alone.
#include "kernels/engines/cpu/isa/fp32_kernels.h"

namespace attn {
namespace {

struct Portable {
  static constexpr int kVectorBytes = 16;
  // 12 sums of 4 leave 4 of 16 registers for the operands.
  static constexpr int kProductRows = 3;
  static constexpr int kProductGroups = 1;
  using Floats = VectorOf<kVectorBytes>::Floats;
  using Words = VectorOf<kVectorBytes>::Words;
  using Halves = VectorOf<kVectorBytes>::Halves;

  static Floats Max(Floats a, Floats b) { return a > b ? a : b; }  // b if either is NaN

  static Words Widen(const uint16_t* from) { return Words{from[0], from[1], from[2], from[3]}; }

  static Floats FromBFloat16(const uint16_t* from) {
    return reinterpret_cast<Floats>(Widen(from) << 16);
  }
  // As Float16ToFloat of kernels/core/float16.h.
  static Floats FromFloat16(const uint16_t* from) {
    const Words bits = Widen(from);
    const Words sign = (bits & 0x8000U) << 16;
    const Words magnitude = bits & 0x7fffU;
    const Floats finite = reinterpret_cast<Floats>(magnitude << 13) * 0x1p112F;
    const Words special = ((magnitude & 0x3ffU) << 13) | 0x7f800000U;
    const Words value = magnitude >= 0x7c00U ? special : reinterpret_cast<Words>(finite);
    return reinterpret_cast<Floats>(value | sign);
  }
  // As FloatToFloat16 there.
  static Halves ToFloat16(Floats v) {
    const Words bits = reinterpret_cast<Words>(v);
    const Words sign = (bits >> 16) & 0x8000U;
    const Words magnitude = bits & 0x7fffffffU;
    const Words normal = (magnitude + 0xfffU + ((magnitude >> 13) & 1U) - 0x38000000U) >> 13;
    const Words subnormal =
        reinterpret_cast<Words>(reinterpret_cast<Floats>(magnitude) + 0.5F) - 0x3f000000U;
    Words half = magnitude < 0x38800000U ? subnormal : normal;
    half = magnitude >= 0x477ff000U ? Words{} + 0x7c00U : half;  // Rounds past 65504.
    half = magnitude > 0x7f800000U ? Words{} + 0x7e00U : half;
    return __builtin_convertvector(half | sign, Halves);
  }
};

}  // namespace

constinit const TileKernels kPortableKernels = Fp32KernelsOf<Portable>();

}  // namespace attn
