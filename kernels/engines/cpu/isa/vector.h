// Vector registers of one instruction set, for the kernels that are written once and compiled for
// each. Included by the files of this folder alone.
//
// A set is a type `Isa` that each .cc file here defines in its anonymous namespace, so that every
// template instantiated with it stays inside that file: nothing compiled for a newer processor can
// be linked in for an older one. For the same reason these headers hold templates only and call no
// inline function of other headers (a test reads the symbols of the object files).
//
//   struct Isa {
//     static constexpr int kVectorBytes;        // 16, 32 or 64
//     static constexpr int kProductRows;        // Shape of the block of sums that stays in
//     static constexpr int kProductGroups;      // registers: rows x groups of kLaneCount columns.
//     static Floats FromBFloat16(const uint16_t* from);  // kCount elements, unaligned
//     static Floats FromFloat16(const uint16_t* from);
//     static Halves ToFloat16(Floats v);                 // Nearest even.
//     static Floats Max(Floats a, Floats b);             // b where either is NaN
//   };
#ifndef ATTN_KERNELS_ENGINES_CPU_ISA_VECTOR_H_
#define ATTN_KERNELS_ENGINES_CPU_ISA_VECTOR_H_

#include <cstdint>
#include <utility>

namespace attn {

template <int kBytes>
struct VectorOf {
  using Floats [[gnu::vector_size(kBytes)]] = float;
  using Words [[gnu::vector_size(kBytes)]] = uint32_t;
  using Halves [[gnu::vector_size(kBytes / 2)]] = uint16_t;
};

template <typename Isa>
struct Vector {
  using Floats = typename VectorOf<Isa::kVectorBytes>::Floats;
  using Words = typename VectorOf<Isa::kVectorBytes>::Words;
  static constexpr int kCount = Isa::kVectorBytes / 4;

  // Unaligned.
  [[gnu::always_inline]] static Floats Load(const float* from) {
    Floats v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
  }
  [[gnu::always_inline]] static void Store(float* to, Floats v) {
    __builtin_memcpy(to, &v, sizeof v);
  }
  [[gnu::always_inline]] static Floats Broadcast(float x) { return Floats{} + x; }

  // Over all lanes, in a fixed order.
  [[gnu::always_inline]] static float Sum(Floats v) { return SumFrom<kCount / 2>(v); }
  [[gnu::always_inline]] static float Highest(Floats v) { return HighestFrom<kCount / 2>(v); }

  // a[0], b[0], a[1], b[1], ...: of their lower halves, or of their upper ones.
  [[gnu::always_inline]] static Floats InterleaveLow(Floats a, Floats b) {
    return Interleave<0>(a, b, Lanes());
  }
  [[gnu::always_inline]] static Floats InterleaveHigh(Floats a, Floats b) {
    return Interleave<kCount / 2>(a, b, Lanes());
  }

 private:
  // Shuffles name their lanes as constants: GCC 12 would build any other list lane by lane.
  using Lanes = std::make_integer_sequence<int, kCount>;

  template <int kDistance, int... kLane>
  [[gnu::always_inline]] static Floats Exchange(Floats v, std::integer_sequence<int, kLane...>) {
    return __builtin_shufflevector(v, v, (kLane ^ kDistance)...);
  }
  template <int kFirst, int... kLane>
  [[gnu::always_inline]] static Floats Interleave(Floats a, Floats b,
                                                  std::integer_sequence<int, kLane...>) {
    return __builtin_shufflevector(a, b, (kFirst + kLane / 2 + kLane % 2 * kCount)...);
  }
  template <int kDistance>
  [[gnu::always_inline]] static float SumFrom(Floats v) {
    v += Exchange<kDistance>(v, Lanes());
    if constexpr (kDistance == 1)
      return v[0];
    else
      return SumFrom<kDistance / 2>(v);
  }
  template <int kDistance>
  [[gnu::always_inline]] static float HighestFrom(Floats v) {
    v = Isa::Max(v, Exchange<kDistance>(v, Lanes()));
    if constexpr (kDistance == 1)
      return v[0];
    else
      return HighestFrom<kDistance / 2>(v);
  }
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_ISA_VECTOR_H_
