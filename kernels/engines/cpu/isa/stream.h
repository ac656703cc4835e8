// Scores and weighted sums over tokens in the caller's own memory (StreamScores, StreamValues): few
// query rows, so that each token is read once and widened as it comes.
//
// A score is summed over the depth in ascending order, lane by lane, and its lanes by halves; an
// output over the tokens in ascending order. Both orders depend on the dtype, the dim and the
// instruction set alone. So row r of a call equals the call of that row alone, and a score equals
// that of a call with its token alone, bit for bit. Nothing outside a token's `dim` elements is
// read.
#ifndef ATTN_KERNELS_ENGINES_CPU_ISA_STREAM_H_
#define ATTN_KERNELS_ENGINES_CPU_ISA_STREAM_H_

#include <cstdint>
#include <type_traits>

#include "kernels/core/dtype.h"
#include "kernels/core/limits.h"
#include "kernels/engines/cpu/isa/stream_step.h"
#include "kernels/engines/cpu/isa/vector.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {

// How far ahead tokens are fetched, which is also how many values are worked on in one go. Measured
// on Zen 5 with tokens of 128 elements and 4 rows: 32 was 1 to 14% slower from memory.
inline constexpr int64_t kStreamAhead = kLaneCount;

// Rows at once. Four and what they multiply fill the registers; more go in turns, over tokens that
// the first-level cache then holds.
inline constexpr int kStreamTurn = 4;

template <typename Isa, DType kDtype>
class Stream {
 public:
  static void Scores(const StreamScores& tile) {
    alignas(64) float queries[kStreamRows * kMaxHeadDim];
    for (int64_t r = 0; r < tile.rows; ++r) {
      for (int64_t d = 0; d < tile.dim; d += S::kSize) {
        Floats parts[kParts];
        S::Split(tile.queries + r * tile.dim + S::Begin(d, tile.dim), parts);
        if (d + S::kSize > tile.dim) S::HideShared(tile.dim, parts);
        Store(parts, queries + r * S::RoundUp(tile.dim) + d);
      }
    }
    Fetch(tile.tokens, tile.count, 0, kStreamAhead, tile.dim);
    for (int64_t c = 0; c < tile.count; c += V::kCount) {
      KeyGroup group{.ahead = tile.tokens + Least(c + kStreamAhead, tile.count),
                     .ahead_count = tile.count - Least(c + kStreamAhead, tile.count),
                     .keys = {}};
      for (int64_t i = 0; i < V::kCount; ++i) {
        group.keys[i] = tile.tokens[Least(c + i, tile.count - 1)];
      }
      ForRows(
          tile.rows, [&](auto rows, int64_t r) __attribute__((always_inline)) {
            ScoreKeys<decltype(rows)::value>(queries + r * S::RoundUp(tile.dim), tile.dim, group,
                                             tile.scores + r * tile.stride + c, tile.stride);
            group.ahead_count = 0;
          });
    }
    for (int64_t r = 0; r < tile.rows; ++r) {
      for (int64_t c = tile.count; c % kLaneCount != 0; ++c) {
        tile.scores[r * tile.stride + c] = -__builtin_inff();
      }
    }
  }

  static void Values(const StreamValues& tile) {
    const int64_t out_stride = (tile.dim + kLaneCount - 1) / kLaneCount * kLaneCount;
    const int64_t stride = S::RoundUp(tile.dim);
    // What comes to `out`, summed apart: one sum over all calls would lose digits to its length.
    // Where steps overlap, both hold the same sums of the same terms.
    alignas(64) float before[kStreamRows * kMaxHeadDim];
    alignas(64) float sums[kStreamRows * kMaxHeadDim];
    for (int64_t r = 0; r < tile.rows; ++r) {
      for (int64_t c = 0; c < tile.dim; c += S::kSize) {
        Floats parts[kParts];
        S::Split(tile.out + r * out_stride + S::Begin(c, tile.dim), parts);
        for (int p = 0; p < kParts; ++p) parts[p] *= tile.carry[r];
        Store(parts, before + r * stride + c);
        for (int p = 0; p < kParts; ++p) parts[p] = Floats{};
        Store(parts, sums + r * stride + c);
      }
    }
    Fetch(tile.tokens, tile.count, 0, kStreamAhead, tile.dim);
    for (int64_t t = 0; t < tile.count; t += kStreamAhead) {
      Fetch(tile.tokens, tile.count, t + kStreamAhead, kStreamAhead, tile.dim);
      ForRows(
          tile.rows, [&](auto rows, int64_t r) __attribute__((always_inline)) {
            AddTokens<decltype(rows)::value>({.weights = tile.weights + r * tile.stride + t,
                                              .weight_stride = tile.stride,
                                              .tokens = tile.tokens + t,
                                              .count = Least(tile.count - t, kStreamAhead),
                                              .dim = tile.dim,
                                              .sums = sums + r * stride});
          });
    }
    for (int64_t r = 0; r < tile.rows; ++r) {
      for (int64_t c = 0; c < tile.dim; c += S::kSize) {
        Floats parts[kParts];
        for (int p = 0; p < kParts; ++p) {
          const int64_t at = r * stride + c + p * V::kCount;
          parts[p] = V::Load(before + at) + V::Load(sums + at);
        }
        S::Join(parts, tile.out + r * out_stride + S::Begin(c, tile.dim));
      }
    }
  }

  // Tokens shorter than a step: copied to where one fits, and zeros after them.
  static void ShortScores(const StreamScores& tile) {
    ShortTokens copies(tile.tokens, tile.count, tile.dim);
    float queries[kStreamRows * S::kSize] = {};
    CopyRows(tile.queries, tile.dim, tile.rows, tile.dim, queries, S::kSize);
    StreamScores longer = tile;
    longer.queries = queries;
    longer.tokens = copies.tokens;
    longer.dim = S::kSize;
    Scores(longer);
  }
  static void ShortValues(const StreamValues& tile) {
    constexpr int64_t kStride = S::kSize < kLaneCount ? kLaneCount : S::kSize;
    const int64_t out_stride = (tile.dim + kLaneCount - 1) / kLaneCount * kLaneCount;
    ShortTokens copies(tile.tokens, tile.count, tile.dim);
    float out[kStreamRows * kStride] = {};
    CopyRows(tile.out, out_stride, tile.rows, tile.dim, out, kStride);
    StreamValues longer = tile;
    longer.tokens = copies.tokens;
    longer.dim = S::kSize;
    longer.out = out;
    Values(longer);
    CopyRows(out, kStride, tile.rows, tile.dim, tile.out, out_stride);
  }

 private:
  using S = StreamStep<Isa, kDtype>;
  using V = Vector<Isa>;
  using Floats = typename V::Floats;
  static constexpr int kParts = S::kParts;
  // Sums in registers: half of AVX-512's 32, half of 16 elsewhere.
  static constexpr int kSums = Isa::kVectorBytes == 64 ? 16 : 8;

  struct ShortTokens {
    ShortTokens(const void* const* from, int64_t count, int64_t dim) {
      for (int64_t t = 0; t < count; ++t) {
        __builtin_memset(elements[t], 0, sizeof elements[t]);
        __builtin_memcpy(elements[t], from[t], static_cast<size_t>(dim) * S::kElementBytes);
        tokens[t] = elements[t];
      }
    }
    alignas(64) unsigned char elements[kTileColumns][S::kSize * S::kElementBytes];
    const void* tokens[kTileColumns];
  };
  static void CopyRows(const float* from, int64_t from_stride, int64_t rows, int64_t columns,
                       float* to, int64_t to_stride) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) to[r * to_stride + c] = from[r * from_stride + c];
    }
  }

  [[gnu::always_inline]] static int64_t Least(int64_t a, int64_t b) { return a < b ? a : b; }
  [[gnu::always_inline]] static void Store(const Floats* parts, float* to) {
    for (int p = 0; p < kParts; ++p) V::Store(to + p * V::kCount, parts[p]);
  }

  // Asks for tokens [first, first + number), as far as there are.
  [[gnu::always_inline]] static void Fetch(const void* const* tokens, int64_t count, int64_t first,
                                           int64_t number, int64_t dim) {
    for (int64_t t = first; t < Least(first + number, count); ++t) {
      const auto* token = static_cast<const unsigned char*>(tokens[t]);
      for (int64_t i = 0; i < dim * S::kElementBytes; i += 64)
        __builtin_prefetch(token + i, /*rw=*/0, /*locality=*/0);
    }
  }

  // run(number of rows as a constant, first row), turn by turn.
  template <typename Run>
  [[gnu::always_inline]] static void ForRows(int64_t rows, const Run& run) {
    for (int64_t r = 0; r < rows; r += kStreamTurn) {
      switch (rows - r) {
        case 1:
          run(std::integral_constant<int, 1>(), r);
          break;
        case 2:
          run(std::integral_constant<int, 2>(), r);
          break;
        case 3:
          run(std::integral_constant<int, 3>(), r);
          break;
        default:
          run(std::integral_constant<int, kStreamTurn>(), r);
      }
    }
  }

  // A vector's worth of keys, and what to fetch while they are scored.
  struct KeyGroup {
    const void* const* ahead;
    int64_t ahead_count;
    const void* keys[V::kCount];
  };

  // Four times, one key for each quad of a vector.
  template <int kRows>
  static void ScoreKeys(const float* queries, int64_t dim, const KeyGroup& group, float* scores,
                        int64_t stride) {
    constexpr int kKeys = LaneFold<Isa>::kQuads;
    const int64_t query_stride = S::RoundUp(dim);
    Floats folded[kRows][4];
    for (int i = 0; i < 4; ++i) {
      Fetch(group.ahead, group.ahead_count, i * kKeys, kKeys, dim);
      Floats sums[kRows][kKeys] = {};
      Floats parts[kKeys][kParts];
      for (int64_t d = 0; d < S::RoundDown(dim); d += S::kSize) {
#pragma GCC unroll 4
        for (int k = 0; k < kKeys; ++k) S::Load(group.keys[4 * k + i], d, parts[k]);
        AddProducts<kRows, kKeys>(queries + d, query_stride, parts, sums);
      }
      if (query_stride != dim) {
#pragma GCC unroll 4
        for (int k = 0; k < kKeys; ++k) {
          S::Load(group.keys[4 * k + i], dim - S::kSize, parts[k]);
          S::HideShared(dim, parts[k]);
        }
        AddProducts<kRows, kKeys>(queries + S::RoundDown(dim), query_stride, parts, sums);
      }
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) folded[r][i] = LaneFold<Isa>::ToQuads(sums[r]);
    }
    for (int r = 0; r < kRows; ++r) V::Store(scores + r * stride, LaneFold<Isa>::Quads(folded[r]));
  }

  template <int kRows, int kKeys>
  [[gnu::always_inline]] static void AddProducts(const float* queries, int64_t stride,
                                                 const Floats (&keys)[kKeys][kParts],
                                                 Floats (&sums)[kRows][kKeys]) {
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int p = 0; p < kParts; ++p) {
        const Floats query = V::Load(queries + r * stride + p * V::kCount);
#pragma GCC unroll 4
        for (int k = 0; k < kKeys; ++k) sums[r][k] += query * keys[k][p];
      }
    }
  }

  struct TokenSum {
    const float* weights;  // [rows][weight_stride]
    int64_t weight_stride;
    const void* const* tokens;
    int64_t count;
    int64_t dim;
    float* sums;  // [rows][S::RoundUp(dim)], in steps
  };

  template <int kRows>
  static void AddTokens(const TokenSum& sum) {
    constexpr int kVectors = kRows == 1 ? 8 : kRows == 2 ? kSums / 2 : kSums / 4;
    const int64_t end = S::RoundDown(sum.dim);
    const int64_t c = AddColumns<kRows, kVectors / kParts>(sum, 0, end);
    if (end != sum.dim) AddStep<kRows, 1>(sum, sum.dim - S::kSize, c);
  }
  // From `c` to `end` in blocks of kSteps, then of half as many. Returns the end.
  template <int kRows, int kSteps>
  [[gnu::always_inline]] static int64_t AddColumns(const TokenSum& sum, int64_t c, int64_t end) {
    for (; c + kSteps * S::kSize <= end; c += kSteps * S::kSize) AddStep<kRows, kSteps>(sum, c, c);
    if constexpr (kSteps > 1)
      return AddColumns<kRows, kSteps / 2>(sum, c, end);
    else
      return c;
  }
  // kSteps steps of the tokens from element `begin` to the sums at `to`.
  template <int kRows, int kSteps>
  static void AddStep(const TokenSum& sum, int64_t begin, int64_t to) {
    constexpr int kVectors = kSteps * kParts;
    const int64_t stride = S::RoundUp(sum.dim);
    Floats sums[kRows][kVectors];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = V::Load(sum.sums + r * stride + to + v * V::kCount);
      }
    }
    for (int64_t t = 0; t < sum.count; ++t) {
      Floats values[kVectors];
#pragma GCC unroll 8
      for (int s = 0; s < kSteps; ++s) {
        S::Load(sum.tokens[t], begin + s * S::kSize, values + s * kParts);
      }
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const Floats weight = V::Broadcast(sum.weights[r * sum.weight_stride + t]);
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) sums[r][v] += weight * values[v];
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        V::Store(sum.sums + r * stride + to + v * V::kCount, sums[r][v]);
      }
    }
  }
};

template <typename Isa, DType kDtype>
void StreamScoresOf(const StreamScores& tile) {
  using S = Stream<Isa, kDtype>;
  return tile.dim < StreamStep<Isa, kDtype>::kSize ? S::ShortScores(tile) : S::Scores(tile);
}
template <typename Isa, DType kDtype>
void StreamValuesOf(const StreamValues& tile) {
  using S = Stream<Isa, kDtype>;
  return tile.dim < StreamStep<Isa, kDtype>::kSize ? S::ShortValues(tile) : S::Values(tile);
}

// TileKernels::stream_scores and stream_values.
template <typename Isa>
void RunStreamScores(const StreamScores& tile) {
  switch (tile.dtype) {
    case DType::kFloat16:
      return StreamScoresOf<Isa, DType::kFloat16>(tile);
    case DType::kBFloat16:
      return StreamScoresOf<Isa, DType::kBFloat16>(tile);
    default:
      return StreamScoresOf<Isa, DType::kFloat32>(tile);
  }
}
template <typename Isa>
void RunStreamValues(const StreamValues& tile) {
  switch (tile.dtype) {
    case DType::kFloat16:
      return StreamValuesOf<Isa, DType::kFloat16>(tile);
    case DType::kBFloat16:
      return StreamValuesOf<Isa, DType::kBFloat16>(tile);
    default:
      return StreamValuesOf<Isa, DType::kFloat32>(tile);
  }
}

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_ISA_STREAM_H_
