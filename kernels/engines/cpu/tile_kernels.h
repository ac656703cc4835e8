// The arithmetic of one score tile: query rows against keys in packed form.
//
// Pure functions of plain arrays, one table of them for each instruction set. A result depends on
// the arguments and on the table alone. Arrays start on cache lines (weights of a
// later piece of a tile on half of one) and are padded as said; padding that is read holds zeros.
//
// Tokens (a key with its value, or a pool of them) and the columns of values come in groups of
// kLaneCount. `Packed` elements are fp32, or pairs of bf16 that belong to neighbouring steps of the
// sum, which is what bf16 dot products and AMX tiles read:
//
//   keys    [group of tokens][depth / pair][kLaneCount tokens][pair]       sum over the depth
//   values  [group of columns][tokens / pair][kLaneCount columns][pair]    sum over the tokens
#ifndef ATTN_KERNELS_ENGINES_CPU_TILE_KERNELS_H_
#define ATTN_KERNELS_ENGINES_CPU_TILE_KERNELS_H_

#include <cstdint>
#include <limits>

#include "kernels/core/ceil_divide.h"
#include "kernels/core/dtype.h"
#include "kernels/engines/cpu/isa_list.h"

namespace attn {

// Tokens and columns of a group: fp32 elements of the widest vector register.
inline constexpr int64_t kLaneCount = 16;

// Rows of a score tile, and its widest: 32 x 256 fp32 scores are 32 KiB, which stay in the
// first-level cache from the product that writes them to the one that reads them.
inline constexpr int64_t kTileRows = 32;
inline constexpr int64_t kTileColumns = 256;

// Form of packed keys and values, and of the queries and weights that meet them.
enum class Operand : uint8_t { kFloat32, kBFloat16 };
constexpr int64_t ElementBytes(Operand operand) { return operand == Operand::kFloat32 ? 4 : 2; }

// Up to kLaneCount tokens to pack. A null token packs as zeros.
struct TokenGroup {
  const void* const* tokens;  // [kLaneCount] addresses of their first elements
  DType dtype;                // kFloat32, kFloat16 or kBFloat16
  int64_t dim;                // Elements of a token.
};
struct PackKeysTile {
  TokenGroup group;
  int64_t depth;  // dim, rounded up to TileKernels::depth_multiple
  void* to;       // One group of keys: [depth / pair][kLaneCount][pair]
};
struct PackValuesTile {
  TokenGroup group;
  void* to;             // Its first tokens of the first group of columns.
  int64_t group_bytes;  // From one group of columns to the next.
};

// scores[r][c] = sum over d of queries[r][d] * keys[c][d], neither scaled nor masked.
//
// Whatever `rows` is, queries and scores have room for kTileRows rows: those beyond `rows` may be
// read, whatever they hold, and overwritten.
struct ScoreTile {
  const void* queries;  // [rows][depth], packed elements in plain order
  const void* keys;     // columns / kLaneCount groups
  float* scores;        // [rows][stride]
  int64_t stride;
  int64_t rows;     // 1 to kTileRows
  int64_t depth;    // A multiple of depth_multiple.
  int64_t columns;  // A multiple of column_multiple.
};

// Scores to modified ones, in natural units (ScoreModifiers of kernels/core):
//
//   s = scale * scores[r][c]
//   s = softcap * tanh(s / softcap)                                to a few units in the last place
//   s += bias[r][c]
//   s -= slopes[r] * |row_positions[r] - column_positions[c]|
//
// NaN and infinities as IEEE arithmetic has them.
struct ModifyTile {
  float* scores;  // [rows][stride]
  int64_t stride;
  int64_t rows;
  int64_t columns;  // A multiple of kLaneCount.
  float scale;
  float softcap;      // 0 = none, else at least the smallest normal number.
  const float* bias;  // [rows][bias_stride], or null
  int64_t bias_stride;
  const float* slopes;              // [rows], or null: the rest is then not read.
  const int32_t* row_positions;     // [rows]
  const int32_t* column_positions;  // [columns]
};

// scores[r][c] = -infinity where bit c of words[r % queries] is 0: rows of several
// heads that share keys are stacked. Columns are taken by kLaneCount: those beyond `columns` may be
// hidden as well.
struct HideTile {
  const uint64_t* words;  // [queries][words_per_query], least significant bit first
  int64_t words_per_query;
  int64_t queries;
  float* scores;
  int64_t stride;
  int64_t rows;
  int64_t columns;
};

// Running softmax of one row in base 2 (Milakov and Gimelshein, arXiv 1805.02867): sum of
// 2^((score - max) * scale - headroom) over what was seen.
struct RowState {
  float max = -std::numeric_limits<float>::infinity();  // Highest score, not scaled.
  float sum = 0;
};

// Takes `columns` scores of each row into its state and turns them into weights
// 2^((score - max) * scale - headroom), in the table's operand form and in place: row r of the
// weights starts where row r of the scores does. What was accumulated before is to be multiplied by
// carry[r]. A score of -infinity weighs nothing; a NaN passes the maximum by and stays in the sum.
//
// With 2^headroom at least the number of keys no sum of weights exceeds 1, so that what they weigh
// cannot overflow where the values do not.
struct SoftmaxTile {
  float* scores;  // [rows][stride]
  int64_t stride;
  int64_t rows;
  int64_t columns;  // A multiple of kLaneCount.
  float scale;      // Natural scale * log2(e), above 0.
  float headroom;
  RowState* states;  // [rows]
  float* carry;      // [rows]
};

// out[r][c] = carry[r] * out[r][c] + sum over t of weights[r][t] * values[t][c].
//
// Weights and out have room for kTileRows rows, as in ScoreTile.
struct ValueTile {
  const void* weights;  // [rows], each `stride` fp32 elements (4 * stride bytes) after the last
  int64_t stride;       // In fp32 elements, whatever the operand.
  const void* values;   // The first tokens of the first group of columns.
  int64_t group_bytes;  // From one group of columns to the next.
  const float* carry;   // [rows], or null where every carry is 1
  float* out;           // [rows][columns]
  int64_t rows;         // 1 to kTileRows
  int64_t tokens;       // A multiple of token_multiple: weights and values of padding are zeros.
  int64_t columns;      // Dv rounded up to a multiple of kLaneCount.
};

// Up to 256 tokens in the caller's own form, for queries so few that packing would cost more than
// it saves (decoding). All in fp32.
struct StreamScores {
  const float* queries;       // [rows][dim]
  const void* const* tokens;  // [count] addresses of keys
  DType dtype;                // Of the keys.
  int64_t dim;
  float* scores;  // [rows][stride]; columns from `count` to a multiple of kLaneCount: -infinity
  int64_t stride;
  int64_t rows;   // 1 to kStreamRows
  int64_t count;  // 1 to kTileColumns
};
// out[r][c] = carry[r] * out[r][c] + sum over t of weights[r][t] * values[t][c].
struct StreamValues {
  const float* weights;  // [rows][stride]
  int64_t stride;
  const void* const* tokens;  // [count] addresses of values
  DType dtype;
  int64_t dim;         // Dv
  const float* carry;  // [rows]
  float* out;          // [rows][RoundUp(dim, kLaneCount)]
  int64_t rows;
  int64_t count;
};
// Measured on Zen 5, 32 heads over 4096 x 128, one core: 24 rows stream in 16 ms (fp32) and 11
// (bf16) where 25 packed take 30 and 22, of which the packing 14.
inline constexpr int64_t kStreamRows = kTileRows;

// Kernels of one instruction set and operand form. A table without streams of its own (bf16) is
// served by the fp32 table of the same machine.
struct TileKernels {
  Operand operand;
  int64_t depth_multiple;   // Of the packed depth of queries and keys.
  int64_t token_multiple;   // Of the packed tokens of a product with values.
  int64_t column_multiple;  // Of the columns of a score tile.

  // `dim` contiguous elements of `from`, widened.
  void (*load_row)(const void* from, DType dtype, int64_t dim, float* to);
  // from[d] * factor, rounded to nearest even; `from` is padded to a multiple of kLaneCount.
  void (*store_row)(const float* from, float factor, DType dtype, int64_t dim, void* to);

  void (*pack_keys)(const PackKeysTile& tile);
  // False if an element is infinite or NaN.
  bool (*pack_values)(const PackValuesTile& tile);

  void (*modify_scores)(const ModifyTile& tile);
  void (*hide_scores)(const HideTile& tile);
  // Whether some carry is not 1.
  bool (*update_softmax)(const SoftmaxTile& tile);

  // The products, between `enter` and `leave` on one thread; these are null where there is nothing
  // to do.
  void (*enter)();
  void (*leave)();
  void (*compute_scores)(const ScoreTile& tile);
  void (*accumulate_values)(const ValueTile& tile);

  void (*stream_scores)(const StreamScores& tile);  // fp32 tables alone
  void (*stream_values)(const StreamValues& tile);  // fp32 tables alone
};

// The table for inputs of `dtype` at `isa`: bf16 operands for bf16 inputs where the set has them,
// else fp32. fp16 inputs take fp32 operands: bf16 would lose three of their bits.
const TileKernels& TileKernelsFor(CpuIsa isa, DType dtype);

// The fp32 table of `isa`, which has streams.
const TileKernels& Fp32TileKernels(CpuIsa isa);

// One table a file in isa/; those that need no processor's support to be named.
extern const TileKernels kPortableKernels;
#if defined(__x86_64__)
extern const TileKernels kAvx2Kernels;
extern const TileKernels kAvx512Kernels;
extern const TileKernels kAvx512Bf16Kernels;
extern const TileKernels kAmxBf16Kernels;
#endif

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_TILE_KERNELS_H_
