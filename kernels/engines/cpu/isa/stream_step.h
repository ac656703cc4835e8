// What streaming moves by and adds up by: see stream.h.
#ifndef ATTN_KERNELS_ENGINES_CPU_ISA_STREAM_STEP_H_
#define ATTN_KERNELS_ENGINES_CPU_ISA_STREAM_STEP_H_

#include <cstdint>
#include <utility>

#include "kernels/core/dtype.h"
#include "kernels/engines/cpu/isa/vector.h"

namespace attn {

// Steps in which the elements of a token are read: a vector of fp32 or fp16, or two vectors of
// bf16, as a shift and a mask widen a register of them to one of its even and one of its odd
// elements. Against widening in order, from the second-level cache and with 4 rows: about 5% with
// AVX-512, 5 to 15% with AVX2, and 1.6 to 2 times in the portable set. Where `dim` is no multiple,
// the last step overlaps the one before it.
template <typename Isa, DType kDtype>
struct StreamStep {
  using V = Vector<Isa>;
  using Floats = typename V::Floats;
  using Words = typename V::Words;
  using Lanes = std::make_integer_sequence<int, V::kCount>;
  static constexpr int kElementBytes = kDtype == DType::kFloat32 ? 4 : 2;
  static constexpr int kParts = kDtype == DType::kBFloat16 ? 2 : 1;
  static constexpr int kSize = kParts * V::kCount;

  [[gnu::always_inline]] static int64_t RoundDown(int64_t dim) { return dim / kSize * kSize; }
  [[gnu::always_inline]] static int64_t RoundUp(int64_t dim) { return RoundDown(dim + kSize - 1); }
  // First element of the step that is the `d / kSize`th.
  [[gnu::always_inline]] static int64_t Begin(int64_t d, int64_t dim) {
    return d + kSize <= dim ? d : dim - kSize;
  }

  [[gnu::always_inline]] static void Load(const void* token, int64_t begin, Floats* parts) {
    const void* from = static_cast<const unsigned char*>(token) + begin * kElementBytes;
    if constexpr (kDtype == DType::kFloat32) parts[0] = V::Load(static_cast<const float*>(from));
    if constexpr (kDtype == DType::kFloat16) {
      parts[0] = Isa::FromFloat16(static_cast<const uint16_t*>(from));
    }
    if constexpr (kDtype == DType::kBFloat16) {
      Words pairs;
      __builtin_memcpy(&pairs, from, sizeof pairs);
      parts[0] = reinterpret_cast<Floats>(pairs << 16);
      parts[1] = reinterpret_cast<Floats>(pairs & 0xffff0000U);
    }
  }

  // Plain fp32 to the parts of a step, and back.
  [[gnu::always_inline]] static void Split(const float* from, Floats* parts) {
    if constexpr (kParts == 1) parts[0] = V::Load(from);
    if constexpr (kParts == 2) Split(V::Load(from), V::Load(from + V::kCount), parts, Lanes());
  }
  [[gnu::always_inline]] static void Join(const Floats* parts, float* to) {
    if constexpr (kParts == 1) V::Store(to, parts[0]);
    if constexpr (kParts == 2) {
      V::Store(to, V::InterleaveLow(parts[0], parts[1]));
      V::Store(to + V::kCount, V::InterleaveHigh(parts[0], parts[1]));
    }
  }

  // Zeros for what the last step shares with the one before it.
  [[gnu::always_inline]] static void HideShared(int64_t dim, Floats* parts) {
    const auto shared = static_cast<uint32_t>(RoundUp(dim) - dim);
    Words element;
    for (int i = 0; i < V::kCount; ++i) element[i] = static_cast<uint32_t>(i * kParts);
    for (uint32_t p = 0; p < kParts; ++p) {
      parts[p] = reinterpret_cast<Floats>(reinterpret_cast<Words>(parts[p]) &
                                          reinterpret_cast<Words>(element + p >= shared));
    }
  }

 private:
  template <int... kLane>
  [[gnu::always_inline]] static void Split(Floats a, Floats b, Floats* parts,
                                           std::integer_sequence<int, kLane...>) {
    parts[0] = __builtin_shufflevector(a, b, (2 * kLane)...);
    parts[1] = __builtin_shufflevector(a, b, (2 * kLane + 1)...);
  }
};

// The sums over all lanes of several vectors at once, by halves.
template <typename Isa>
struct LaneFold {
  using V = Vector<Isa>;
  using Floats = typename V::Floats;
  // Registers of 16 bytes in a vector; lanes move freely within one, and whole ones between them.
  static constexpr int kQuads = V::kCount / 4;

  // Lanes of `a` and `b`, in runs of 2 * kDistance, to runs of kDistance: those of `a`, then of
  // `b`; within each quad where the runs are shorter than one.
  template <int kDistance>
  [[gnu::always_inline]] static Floats Halve(Floats a, Floats b) {
    return Halve<kDistance>(a, b, std::make_integer_sequence<int, V::kCount>());
  }
  // One vector for each quad to one quad for each vector.
  [[gnu::always_inline]] static Floats ToQuads(const Floats* sums) {
    if constexpr (kQuads == 1) return sums[0];
    if constexpr (kQuads == 2) return Halve<4>(sums[0], sums[1]);
    if constexpr (kQuads == 4) {
      return Halve<4>(Halve<8>(sums[0], sums[1]), Halve<8>(sums[2], sums[3]));
    }
  }
  // Lane 4 * q + i of the result: the sum of quad q of sums[i].
  [[gnu::always_inline]] static Floats Quads(const Floats (&sums)[4]) {
    return Halve<1>(Halve<2>(sums[0], sums[1]), Halve<2>(sums[2], sums[3]));
  }

 private:
  static constexpr int Source(int lane, int distance) {
    const int width = distance < 4 ? 4 : V::kCount;  // Of what lanes move in.
    const int runs = width / (2 * distance);
    const int run = lane % width / distance;
    return run / runs * V::kCount + lane / width * width + run % runs * 2 * distance +
           lane % distance;
  }
  template <int kDistance, int... kLane>
  [[gnu::always_inline]] static Floats Halve(Floats a, Floats b,
                                             std::integer_sequence<int, kLane...>) {
    return __builtin_shufflevector(a, b, Source(kLane, kDistance)...) +
           __builtin_shufflevector(a, b, (Source(kLane, kDistance) + kDistance)...);
  }
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_ISA_STREAM_STEP_H_
