// The running softmax of a score tile, and its masks.
#ifndef ATTN_KERNELS_ENGINES_CPU_ISA_SOFTMAX_H_
#define ATTN_KERNELS_ENGINES_CPU_ISA_SOFTMAX_H_

#include <cstdint>
#include <limits>

#include "kernels/engines/cpu/isa/vector.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {

// 2^f = 1 + f * (sum over i of kExp2[i] * f^i) over |f| <= 1/2, minimax in relative error with an
// exact 1 at 0: 1.1e-7, about a unit in the last place of fp32.
inline constexpr float kExp2[] = {0x1.62e42ap-1F, 0x1.ebf9bcp-3F, 0x1.c6b752p-5F, 0x1.3cea88p-7F,
                                  0x1.5bba14p-10F};

// 2^x for x <= 0, NaN for NaN; 0 where the result would be subnormal.
template <typename Isa>
[[gnu::always_inline]] inline typename Vector<Isa>::Floats Exp2(typename Vector<Isa>::Floats x) {
  using V = Vector<Isa>;
  using Floats = typename V::Floats;
  using Words = typename V::Words;
  // Adding 1.5 * 2^23 leaves the nearest integer in the lowest bits.
  constexpr float kRound = 12582912.0F;
  constexpr float kSmallest = -125.5F;
  const Floats rounded = x + kRound;
  const Floats f = x - (rounded - kRound);
  Floats p = V::Broadcast(kExp2[4]);
#pragma GCC unroll 8
  for (int i = 3; i >= 0; --i) p = p * f + kExp2[i];
  p = p * f + 1.0F;
  // The integer goes straight into the exponent of p, which is near 1.
  const Words power = reinterpret_cast<Words>(p) + (reinterpret_cast<Words>(rounded) << 23);
  return x < kSmallest ? Floats{} : reinterpret_cast<Floats>(power);
}

// TileKernels::update_softmax. Form::Store(row, column, p) keeps the weights of one vector.
template <typename Isa, typename Form>
bool UpdateSoftmax(const SoftmaxTile& tile) {
  using V = Vector<Isa>;
  using Floats = typename V::Floats;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr int kParts = kLaneCount / V::kCount;
  bool carries = false;
  for (int64_t r = 0; r < tile.rows; ++r) {
    float* scores = tile.scores + r * tile.stride;
    Floats highest[kParts];
    for (int part = 0; part < kParts; ++part) highest[part] = V::Broadcast(-kInfinity);
    for (int64_t c = 0; c < tile.columns; c += kLaneCount) {
#pragma GCC unroll 4
      for (int part = 0; part < kParts; ++part) {
        highest[part] = Isa::Max(V::Load(scores + c + part * V::kCount), highest[part]);
      }
    }
    for (int part = 1; part < kParts; ++part) highest[0] = Isa::Max(highest[part], highest[0]);
    const float top = V::Highest(highest[0]);

    RowState& state = tile.states[r];
    float carry = 1;
    if (top > state.max) {
      // 2^(-infinity) is 0 and nothing was accumulated.
      carry = Exp2<Isa>(V::Broadcast((state.max - top) * tile.scale))[0];
      state.max = top;
      state.sum *= carry;
      carries = true;
    }
    tile.carry[r] = carry;
    // Where nothing was seen every difference is to be -infinity, not NaN.
    const float max = state.max == -kInfinity ? 0 : state.max;

    Floats sums[kParts] = {};
    for (int64_t c = 0; c < tile.columns; c += kLaneCount) {
#pragma GCC unroll 4
      for (int part = 0; part < kParts; ++part) {
        const int64_t column = c + part * V::kCount;
        // The difference first: the highest score then weighs exactly 2^-headroom.
        const Floats p = Exp2<Isa>((V::Load(scores + column) - max) * tile.scale - tile.headroom);
        sums[part] += p;
        Form::Store(scores, column, p);
      }
    }
    for (int part = 1; part < kParts; ++part) sums[0] += sums[part];
    state.sum += V::Sum(sums[0]);
  }
  return carries;
}

// Weights of fp32 tables.
template <typename Isa>
struct Fp32Weights {
  [[gnu::always_inline]] static void Store(float* row, int64_t column,
                                           typename Vector<Isa>::Floats p) {
    Vector<Isa>::Store(row + column, p);
  }
};

// TileKernels::hide_scores.
template <typename Isa>
void HideScores(const HideTile& tile) {
  using V = Vector<Isa>;
  using Words = typename V::Words;
  constexpr uint32_t kAllLanes = (uint32_t{1} << V::kCount) - 1;
  static constexpr uint32_t kLaneBits[kLaneCount] = {
      1U << 0, 1U << 1, 1U << 2,  1U << 3,  1U << 4,  1U << 5,  1U << 6,  1U << 7,
      1U << 8, 1U << 9, 1U << 10, 1U << 11, 1U << 12, 1U << 13, 1U << 14, 1U << 15};
  Words lane_bit;
  __builtin_memcpy(&lane_bit, kLaneBits, sizeof lane_bit);
  const auto nothing = V::Broadcast(-std::numeric_limits<float>::infinity());
  for (int64_t r = 0; r < tile.rows; ++r) {
    float* scores = tile.scores + r * tile.stride;
    const uint64_t* words = tile.words + r % tile.queries * tile.words_per_query;
    for (int64_t c = 0; c < tile.columns; c += V::kCount) {
      const auto bits = static_cast<uint32_t>(words[c / 64] >> (c % 64)) & kAllLanes;
      if (bits == kAllLanes) continue;
      const auto visible = ((Words{} + bits) & lane_bit) != 0;
      V::Store(scores + c, visible ? V::Load(scores + c) : nothing);
    }
  }
}

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_ISA_SOFTMAX_H_
