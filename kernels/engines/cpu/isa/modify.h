// What is done to scores between the product and the softmax.
#ifndef ATTN_KERNELS_ENGINES_CPU_ISA_MODIFY_H_
#define ATTN_KERNELS_ENGINES_CPU_ISA_MODIFY_H_

#include <cstdint>
#include <limits>

#include "kernels/engines/cpu/isa/vector.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {

// tanh(x) / x = P(x^2) / Q(x^2) over |x| <= kTanhLimit: minimax in relative error with an exact 1
// at 0, 2.1e-8. Every coefficient is positive: no step cancels. At the limit tanh is within 2^-24
// of 1. One form for all x spares the second of a division and an exponential that the usual two
// take, and loses nothing of small ones.
inline constexpr float kTanhP[] = {1.0F, 0.133867873F, 0.00350233744F, 2.07166083e-5F,
                                   1.34973528e-8F};
inline constexpr float kTanhQ[] = {1.0F, 0.467201093F, 0.0259028982F, 0.000329651754F,
                                   7.83627349e-7F};
inline constexpr float kTanhLimit = 9.0F;

// softcap * tanh(s / softcap) = s * tanh(x) / x with x = s / softcap: where x underflows s is left
// as it is. Both stay finite for any softcap from the smallest normal number to infinity.
struct Softcap {
  float inverse;  // 1 / softcap
  float limit;    // Scores beyond it count as it.
};

// Several vectors at once: each waits for its division, and one's wait is another's turn.
template <typename Isa, int kVectors>
[[gnu::always_inline]] inline void CapVectors(float scale, const Softcap& cap, float* scores) {
  using V = Vector<Isa>;
  const auto limit = V::Broadcast(cap.limit);
  typename V::Floats s[kVectors];
  typename V::Floats t[kVectors];
  typename V::Floats p[kVectors];
  typename V::Floats q[kVectors];
  for (int i = 0; i < kVectors; ++i) s[i] = V::Load(scores + i * V::kCount) * scale;
  // A NaN is neither above nor below, and stays.
  for (int i = 0; i < kVectors; ++i) s[i] = s[i] > limit ? limit : s[i];
  for (int i = 0; i < kVectors; ++i) s[i] = s[i] < -limit ? -limit : s[i];
  for (int i = 0; i < kVectors; ++i) t[i] = s[i] * cap.inverse;
  for (int i = 0; i < kVectors; ++i) t[i] = t[i] * t[i];
  for (int i = 0; i < kVectors; ++i) p[i] = t[i] * kTanhP[4] + kTanhP[3];
  for (int i = 0; i < kVectors; ++i) q[i] = t[i] * kTanhQ[4] + kTanhQ[3];
  for (int i = 0; i < kVectors; ++i) p[i] = p[i] * t[i] + kTanhP[2];
  for (int i = 0; i < kVectors; ++i) q[i] = q[i] * t[i] + kTanhQ[2];
  for (int i = 0; i < kVectors; ++i) p[i] = p[i] * t[i] + kTanhP[1];
  for (int i = 0; i < kVectors; ++i) q[i] = q[i] * t[i] + kTanhQ[1];
  for (int i = 0; i < kVectors; ++i) p[i] = p[i] * t[i] + kTanhP[0];
  for (int i = 0; i < kVectors; ++i) q[i] = q[i] * t[i] + kTanhQ[0];
  for (int i = 0; i < kVectors; ++i) V::Store(scores + i * V::kCount, s[i] * (p[i] / q[i]));
}

template <typename Isa>
[[gnu::always_inline]] inline void CapRow(float scale, const Softcap& cap, int64_t columns,
                                          float* scores) {
  using V = Vector<Isa>;
  constexpr int kVectors = 4;
  int64_t c = 0;
  for (; c + kVectors * V::kCount <= columns; c += kVectors * V::kCount) {
    CapVectors<Isa, kVectors>(scale, cap, scores + c);
  }
  for (; c < columns; c += V::kCount) CapVectors<Isa, 1>(scale, cap, scores + c);
}

template <typename Isa>
[[gnu::always_inline]] inline void ScaleRow(float scale, int64_t columns, float* scores) {
  using V = Vector<Isa>;
  for (int64_t c = 0; c < columns; c += V::kCount) {
    V::Store(scores + c, V::Load(scores + c) * scale);
  }
}

template <typename Isa>
[[gnu::always_inline]] inline void AddBias(const float* bias, int64_t columns, float* scores) {
  using V = Vector<Isa>;
  for (int64_t c = 0; c < columns; c += V::kCount) {
    V::Store(scores + c, V::Load(scores + c) + V::Load(bias + c));
  }
}

// Distances are exact in int32; only scores that are hidden afterwards have any that wrap.
template <typename Isa>
[[gnu::always_inline]] inline void SubtractDistances(float slope, int32_t row_position,
                                                     const int32_t* column_positions,
                                                     int64_t columns, float* scores) {
  using V = Vector<Isa>;
  using Words = typename V::Words;
  const Words row = Words{} + static_cast<uint32_t>(row_position);
  for (int64_t c = 0; c < columns; c += V::kCount) {
    Words column;
    __builtin_memcpy(&column, column_positions + c, sizeof column);
    const Words difference = row - column;
    const Words sign = Words{} - (difference >> 31);  // All ones where it is negative.
    const Words distance = (difference ^ sign) - sign;
    using Ints [[gnu::vector_size(sizeof(Words))]] = int32_t;
    const auto fp32 = __builtin_convertvector(reinterpret_cast<Ints>(distance), typename V::Floats);
    V::Store(scores + c, V::Load(scores + c) - fp32 * slope);
  }
}

// TileKernels::modify_scores. A row stays in the first-level cache from pass to pass.
template <typename Isa>
void ModifyScores(const ModifyTile& tile) {
  const float limit = tile.softcap * kTanhLimit;
  constexpr float kHighest = std::numeric_limits<float>::max();
  const Softcap cap = {.inverse = 1 / tile.softcap, .limit = limit < kHighest ? limit : kHighest};
  for (int64_t r = 0; r < tile.rows; ++r) {
    float* scores = tile.scores + r * tile.stride;
    if (tile.softcap != 0) {
      CapRow<Isa>(tile.scale, cap, tile.columns, scores);
    } else {
      ScaleRow<Isa>(tile.scale, tile.columns, scores);
    }
    if (tile.bias != nullptr) AddBias<Isa>(tile.bias + r * tile.bias_stride, tile.columns, scores);
    if (tile.slopes == nullptr) continue;
    SubtractDistances<Isa>(tile.slopes[r], tile.row_positions[r], tile.column_positions,
                           tile.columns, scores);
  }
}

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_ISA_MODIFY_H_
