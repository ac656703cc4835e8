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

// x[i] = 2^x[i] for x <= 0, NaN for NaN; 0 where the result would be subnormal. Several vectors at
// once, step by step: each step waits for the one before, and one vector's wait is another's turn.
template <typename Isa, int kVectors>
[[gnu::always_inline]] inline void Exp2(typename Vector<Isa>::Floats (&x)[kVectors]) {
  using Floats = typename Vector<Isa>::Floats;
  using Words = typename Vector<Isa>::Words;
  // Adding 1.5 * 2^23 leaves the nearest integer in the lowest bits.
  constexpr float kRound = 12582912.0F;
  constexpr float kSmallest = -125.5F;
  Floats rounded[kVectors];
  Floats f[kVectors];
  Floats p[kVectors];
  for (int i = 0; i < kVectors; ++i) rounded[i] = x[i] + kRound;
  for (int i = 0; i < kVectors; ++i) f[i] = x[i] - (rounded[i] - kRound);
  for (int i = 0; i < kVectors; ++i) p[i] = f[i] * kExp2[4] + kExp2[3];
  for (int i = 0; i < kVectors; ++i) p[i] = p[i] * f[i] + kExp2[2];
  for (int i = 0; i < kVectors; ++i) p[i] = p[i] * f[i] + kExp2[1];
  for (int i = 0; i < kVectors; ++i) p[i] = p[i] * f[i] + kExp2[0];
  for (int i = 0; i < kVectors; ++i) p[i] = p[i] * f[i] + 1.0F;
  for (int i = 0; i < kVectors; ++i) {
    // The integer goes straight into the exponent of p, which is near 1.
    const Words power = reinterpret_cast<Words>(p[i]) + (reinterpret_cast<Words>(rounded[i]) << 23);
    // A NaN is neither above nor below: Max hands it on, whatever its payload did to `power`.
    x[i] = x[i] >= kSmallest ? reinterpret_cast<Floats>(power) : Isa::Max(Floats{}, x[i]);
  }
}

// 2^x.
template <typename Isa>
[[gnu::always_inline]] inline float Exp2(float x) {
  typename Vector<Isa>::Floats power[1] = {Vector<Isa>::Broadcast(x)};
  Exp2<Isa, 1>(power);
  return power[0][0];
}

// Highest of `columns` scores of a row.
template <typename Isa>
[[gnu::always_inline]] inline float HighestScore(const float* scores, int64_t columns) {
  using V = Vector<Isa>;
  constexpr int kParts = kLaneCount / V::kCount;
  typename V::Floats highest[kParts];
  for (int part = 0; part < kParts; ++part) {
    highest[part] = V::Broadcast(-std::numeric_limits<float>::infinity());
  }
  for (int64_t c = 0; c < columns; c += kLaneCount) {
#pragma GCC unroll 4
    for (int part = 0; part < kParts; ++part) {
      highest[part] = Isa::Max(V::Load(scores + c + part * V::kCount), highest[part]);
    }
  }
  for (int part = 1; part < kParts; ++part) highest[0] = Isa::Max(highest[part], highest[0]);
  return V::Highest(highest[0]);
}

// What turns the scores of a row into weights.
struct RowWeights {
  float max;
  float scale;
  float headroom;
};

// kVectors vectors of scores from `column` on; Form::Store(row, column, p) keeps the weights of
// one.
template <typename Isa, typename Form, int kVectors>
[[gnu::always_inline]] inline void WeighVectors(const RowWeights& row, int64_t column,
                                                float* scores, typename Vector<Isa>::Floats& sum) {
  using V = Vector<Isa>;
  typename V::Floats p[kVectors];
  for (int i = 0; i < kVectors; ++i) {
    // The difference first: the highest score then weighs exactly 2^-headroom.
    const auto difference = V::Load(scores + column + i * V::kCount) - row.max;
    p[i] = difference * row.scale - row.headroom;
  }
  Exp2<Isa, kVectors>(p);
  for (int i = 0; i < kVectors; ++i) {
    sum += p[i];
    Form::Store(scores, column + i * V::kCount, p[i]);
  }
}

// Turns a row of scores into weights; returns their sum.
template <typename Isa, typename Form>
[[gnu::always_inline]] inline float WeighRow(const RowWeights& row, int64_t columns,
                                             float* scores) {
  using V = Vector<Isa>;
  constexpr int kVectors = 4;
  typename V::Floats sum = {};
  int64_t c = 0;
  for (; c + kVectors * V::kCount <= columns; c += kVectors * V::kCount) {
    WeighVectors<Isa, Form, kVectors>(row, c, scores, sum);
  }
  for (; c < columns; c += V::kCount) WeighVectors<Isa, Form, 1>(row, c, scores, sum);
  return V::Sum(sum);
}

// TileKernels::update_softmax. The maxima of all rows come first: in a row of its own each would
// wait for its last step before the first weight.
template <typename Isa, typename Form>
bool UpdateSoftmax(const SoftmaxTile& tile) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  bool carries = false;
  for (int64_t r = 0; r < tile.rows; ++r) {
    const float top = HighestScore<Isa>(tile.scores + r * tile.stride, tile.columns);
    RowState& state = tile.states[r];
    tile.carry[r] = 1;
    if (!(top > state.max)) continue;
    // 2^(-infinity) is 0 and nothing was accumulated.
    const float carry = Exp2<Isa>((state.max - top) * tile.scale);
    tile.carry[r] = carry;
    state.max = top;
    state.sum *= carry;
    carries = true;
  }
  for (int64_t r = 0; r < tile.rows; ++r) {
    RowState& state = tile.states[r];
    // Where nothing was seen every difference is to be -infinity, not NaN.
    const RowWeights row = {state.max == -kInfinity ? 0 : state.max, tile.scale, tile.headroom};
    state.sum += WeighRow<Isa, Form>(row, tile.columns, tile.scores + r * tile.stride);
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
