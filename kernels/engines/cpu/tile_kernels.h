// The arithmetic of one score tile: query rows against one panel of keys, all in fp32.
//
// Pure functions of plain arrays, one set for each instruction set. Matrices are row-major. Rows
// that vectors run over are padded to a multiple of kLaneCount elements and 64-byte aligned. A
// result depends on the arguments and on the set alone.
#ifndef ATTN_KERNELS_ENGINES_CPU_TILE_KERNELS_H_
#define ATTN_KERNELS_ENGINES_CPU_TILE_KERNELS_H_

#include <cstdint>
#include <span>

#include "kernels/core/online_softmax.h"

namespace attn {

// fp32 elements of the widest vector register.
inline constexpr int64_t kLaneCount = 16;

// Length of a padded row of `count` elements.
constexpr int64_t PaddedCount(int64_t count) {
  return (count + kLaneCount - 1) / kLaneCount * kLaneCount;
}

// scores[r][j] = scale * (sum over d of queries[r][d] * keys[d][j]) + bias.
struct ScoreTile {
  const float* queries;  // [rows, dim], not padded
  const float* keys;     // [dim, columns]: transposed
  float* scores;         // [rows, columns]
  int64_t rows;
  int64_t dim;
  int64_t columns;  // Padded.
  float scale;
  float bias;
};

// Takes scores [rows, PaddedCount(keys)] into the running softmax of each row and turns them into
// the probabilities exp(score - max) / sum, the padding into 0. What was accumulated under the old
// state is to be multiplied by carry[row]: the accumulator is a weighted mean of values at any
// time, so it cannot overflow where they do not.
struct SoftmaxTile {
  float* scores;
  SoftmaxState<float>* states;  // [rows]
  float* carry;                 // [rows]
  int64_t rows;
  int64_t keys;
};

// out[r][c] = carry[r] * out[r][c] + sum over j of weights[r][j] * values[j][c].
struct ValueTile {
  const float* weights;  // [rows, PaddedCount(keys)]
  const float* values;   // [keys, columns]
  const float* carry;    // [rows]
  float* out;            // [rows, columns]
  int64_t rows;
  int64_t keys;
  int64_t columns;  // Padded.
};

struct TileKernels {
  const char* name;
  void (*compute_scores)(const ScoreTile& tile);
  void (*update_softmax)(const SoftmaxTile& tile);
  void (*accumulate_values)(const ValueTile& tile);
};

// What this processor can run, the fastest first; never empty.
std::span<const TileKernels> AvailableTileKernels();

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_TILE_KERNELS_H_
