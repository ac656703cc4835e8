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
#include <limits>
#include <utility>

#include "kernels/core/dtype.h"
#include "kernels/core/limits.h"
#include "kernels/engines/cpu/isa/vector.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {

// Steps of a row of tokens' elements, in which everything here moves: a vector of fp32 or fp16, or
// two vectors of bf16, as a shift and a mask widen a register of them to one of its even and one of
// its odd elements (half the work of widening them in order). Where `dim` is no multiple, the last
// step overlaps the one before it.
template <typename Isa, DType kDtype>
struct Step {
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
struct Fold {
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

// Tokens fetched ahead, which is also how many are worked on in one go. 16 of 256 bytes are what
// memory delivers during its own latency; with 32 and 64 the first tokens of a call cost more than
// the rest gains.
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
      Fetch(tile.tokens, tile.count, c + kStreamAhead, V::kCount, tile.dim);
      const void* keys[V::kCount];
      for (int64_t i = 0; i < V::kCount; ++i) {
        keys[i] = tile.tokens[c + i < tile.count ? c + i : tile.count - 1];
      }
      ForRows(tile.rows, [&](auto rows, int64_t r) __attribute__((always_inline)) {
        ScoreKeys<decltype(rows)::value>(queries + r * S::RoundUp(tile.dim), tile.dim, keys,
                                         tile.scores + r * tile.stride + c, tile.stride);
      });
    }
    for (int64_t r = 0; r < tile.rows; ++r) {
      for (int64_t c = tile.count; c % kLaneCount != 0; ++c) {
        tile.scores[r * tile.stride + c] = -std::numeric_limits<float>::infinity();
      }
    }
  }

  static void Values(const StreamValues& tile) {
    const int64_t out_stride = (tile.dim + kLaneCount - 1) / kLaneCount * kLaneCount;
    const int64_t stride = S::RoundUp(tile.dim);
    // Where steps overlap, both hold the same sums of the same terms.
    alignas(64) float sums[kStreamRows * kMaxHeadDim];
    for (int64_t r = 0; r < tile.rows; ++r) {
      for (int64_t c = 0; c < tile.dim; c += S::kSize) {
        Floats parts[kParts];
        S::Split(tile.out + r * out_stride + S::Begin(c, tile.dim), parts);
        for (int p = 0; p < kParts; ++p) parts[p] *= tile.carry[r];
        Store(parts, sums + r * stride + c);
      }
    }
    Fetch(tile.tokens, tile.count, 0, kStreamAhead, tile.dim);
    for (int64_t t = 0; t < tile.count; t += kStreamAhead) {
      Fetch(tile.tokens, tile.count, t + kStreamAhead, kStreamAhead, tile.dim);
      ForRows(tile.rows, [&](auto rows, int64_t r) __attribute__((always_inline)) {
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
        for (int p = 0; p < kParts; ++p) parts[p] = V::Load(sums + r * stride + c + p * V::kCount);
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
  using S = Step<Isa, kDtype>;
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
      for (int64_t i = 0; i < dim * S::kElementBytes; i += 64) __builtin_prefetch(token + i);
    }
  }

  // run(number of rows as a constant, first row), turn by turn.
  template <typename Run>
  [[gnu::always_inline]] static void ForRows(int64_t rows, const Run& run) {
    for (int64_t r = 0; r < rows; r += kStreamTurn) {
      switch (rows - r) {
        case 1: run(std::integral_constant<int, 1>(), r); break;
        case 2: run(std::integral_constant<int, 2>(), r); break;
        case 3: run(std::integral_constant<int, 3>(), r); break;
        default: run(std::integral_constant<int, kStreamTurn>(), r);
      }
    }
  }

  // One vector of keys. Four times as many keys as a vector has quads, each with sums of its own.
  template <int kRows>
  static void ScoreKeys(const float* queries, int64_t dim, const void* const* keys, float* scores,
                        int64_t stride) {
    constexpr int kKeys = Fold<Isa>::kQuads;
    const int64_t query_stride = S::RoundUp(dim);
    Floats folded[kRows][4];
    for (int i = 0; i < 4; ++i) {
      Floats sums[kRows][kKeys] = {};
      Floats parts[kKeys][kParts];
      for (int64_t d = 0; d < S::RoundDown(dim); d += S::kSize) {
#pragma GCC unroll 4
        for (int k = 0; k < kKeys; ++k) S::Load(keys[4 * k + i], d, parts[k]);
        AddProducts<kRows, kKeys>(queries + d, query_stride, parts, sums);
      }
      if (query_stride != dim) {
#pragma GCC unroll 4
        for (int k = 0; k < kKeys; ++k) {
          S::Load(keys[4 * k + i], dim - S::kSize, parts[k]);
          S::HideShared(dim, parts[k]);
        }
        AddProducts<kRows, kKeys>(queries + S::RoundDown(dim), query_stride, parts, sums);
      }
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) folded[r][i] = Fold<Isa>::ToQuads(sums[r]);
    }
    for (int r = 0; r < kRows; ++r) V::Store(scores + r * stride, Fold<Isa>::Quads(folded[r]));
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
    if constexpr (kSteps > 1) return AddColumns<kRows, kSteps / 2>(sum, c, end);
    else return c;
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
  return tile.dim < Step<Isa, kDtype>::kSize ? S::ShortScores(tile) : S::Scores(tile);
}
template <typename Isa, DType kDtype>
void StreamValuesOf(const StreamValues& tile) {
  using S = Stream<Isa, kDtype>;
  return tile.dim < Step<Isa, kDtype>::kSize ? S::ShortValues(tile) : S::Values(tile);
}

// TileKernels::stream_scores and stream_values.
template <typename Isa>
void RunStreamScores(const StreamScores& tile) {
  switch (tile.dtype) {
    case DType::kFloat16: return StreamScoresOf<Isa, DType::kFloat16>(tile);
    case DType::kBFloat16: return StreamScoresOf<Isa, DType::kBFloat16>(tile);
    default: return StreamScoresOf<Isa, DType::kFloat32>(tile);
  }
}
template <typename Isa>
void RunStreamValues(const StreamValues& tile) {
  switch (tile.dtype) {
    case DType::kFloat16: return StreamValuesOf<Isa, DType::kFloat16>(tile);
    case DType::kBFloat16: return StreamValuesOf<Isa, DType::kBFloat16>(tile);
    default: return StreamValuesOf<Isa, DType::kFloat32>(tile);
  }
}

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_ISA_STREAM_H_
