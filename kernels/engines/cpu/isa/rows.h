// Rows of the caller's tensors to fp32 and back.
#ifndef ATTN_KERNELS_ENGINES_CPU_ISA_ROWS_H_
#define ATTN_KERNELS_ENGINES_CPU_ISA_ROWS_H_

#include <cstdint>

#include "kernels/engines/cpu/isa/pack.h"
#include "kernels/engines/cpu/isa/vector.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {

template <typename From, typename Isa>
[[gnu::always_inline]] inline void WidenRow(const void* from, int64_t dim, float* to) {
  using V = Vector<Isa>;
  int64_t d = 0;
  for (; d + V::kCount <= dim; d += V::kCount) {
    V::Store(to + d, LoadElements<From, Isa>(from, d, dim));
  }
  const auto rest = LoadElements<From, Isa>(from, d, dim);
  for (int64_t i = 0; d + i < dim; ++i) to[d + i] = rest[i];
}

// TileKernels::load_row.
template <typename Isa>
void LoadRowAs(const void* from, DType dtype, int64_t dim, float* to) {
  switch (dtype) {
    case DType::kFloat16:
      return WidenRow<FromFp16<Isa>, Isa>(from, dim, to);
    case DType::kBFloat16:
      return WidenRow<FromBf16<Isa>, Isa>(from, dim, to);
    default:
      return WidenRow<FromFp32<Isa>, Isa>(from, dim, to);
  }
}

// Elements of a row as they are stored.
template <typename Isa>
struct ToFp32 {
  using Element = float;
  static typename Vector<Isa>::Floats Convert(typename Vector<Isa>::Floats v) { return v; }
};
template <typename Isa>
struct ToBf16 {
  using Element = uint16_t;
  // Round to nearest even; a NaN stays one, whatever its low bits were.
  static auto Convert(typename Vector<Isa>::Floats v) {
    using Words = typename Vector<Isa>::Words;
    using Halves = typename VectorOf<Isa::kVectorBytes>::Halves;
    const Words bits = reinterpret_cast<Words>(v);
    const Words rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
    const Words nan = (bits >> 16) | 0x40U;
    return __builtin_convertvector((bits & 0x7fffffffU) > 0x7f800000U ? nan : rounded, Halves);
  }
};
template <typename Isa>
struct ToFp16 {
  using Element = uint16_t;
  static auto Convert(typename Vector<Isa>::Floats v) { return Isa::ToFloat16(v); }
};

template <typename To, typename Isa>
[[gnu::always_inline]] inline void NarrowRow(const float* from, float factor, int64_t dim,
                                             void* row) {
  using V = Vector<Isa>;
  auto* to = static_cast<typename To::Element*>(row);
  for (int64_t d = 0; d < dim; d += V::kCount) {
    // `from` is padded.
    const auto elements = To::Convert(V::Load(from + d) * factor);
    if (d + V::kCount <= dim) {
      __builtin_memcpy(to + d, &elements, sizeof elements);
    } else {
      for (int64_t i = 0; d + i < dim; ++i) to[d + i] = elements[i];
    }
  }
}

// TileKernels::store_row.
template <typename Isa>
void StoreRowAs(const float* from, float factor, DType dtype, int64_t dim, void* to) {
  switch (dtype) {
    case DType::kFloat16:
      return NarrowRow<ToFp16<Isa>, Isa>(from, factor, dim, to);
    case DType::kBFloat16:
      return NarrowRow<ToBf16<Isa>, Isa>(from, factor, dim, to);
    default:
      return NarrowRow<ToFp32<Isa>, Isa>(from, factor, dim, to);
  }
}

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_ISA_ROWS_H_
