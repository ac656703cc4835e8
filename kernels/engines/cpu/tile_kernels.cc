// Written once with the compiler's vector types and compiled for each width of vector register.
#include "kernels/engines/cpu/tile_kernels.h"

#include <algorithm>
#include <limits>

namespace attn {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A register of kBytes. Never passed or returned by value: how that is done depends on the
// instruction set.
template <int kBytes>
struct Vector {
  using Floats [[gnu::vector_size(kBytes), gnu::may_alias]] = float;
  using Words [[gnu::vector_size(kBytes), gnu::may_alias]] = uint32_t;
  static constexpr int64_t kCount = kBytes / static_cast<int>(sizeof(float));

  [[gnu::always_inline]] static const Floats& At(const float* from) {
    return *reinterpret_cast<const Floats*>(from);
  }
  [[gnu::always_inline]] static Floats& At(float* to) { return *reinterpret_cast<Floats*>(to); }
};

// Rows and vectors of columns whose sums stay in registers: 12 sums hide the latency of a fused
// multiply-add (4 cycles, 2 a cycle) and leave 4 of AVX2's 16 registers for the operands. Measured
// on Zen 5: 227 GFLOP/s with 512 bits, 120 with 256, 43 with 128, against 231, 120 and 44 for the
// best of all shapes tried.
constexpr int kBlockRows = 6;
constexpr int kBlockVectors = 2;

// A product a [rows, depth] * b [depth, columns], row by row.
struct Product {
  const float* a;
  int64_t a_stride;
  const float* b;
  int64_t b_stride;
  int64_t depth;
};

// kRows x kVectors vectors of the product at (row, column), each handed to
// `finish(row, column, sums)`.
template <int kBytes, int kRows, int kVectors, typename Finish>
[[gnu::always_inline]] inline void MultiplyBlock(const Product& product, int64_t row,
                                                 int64_t column, const Finish& finish) {
  using V = Vector<kBytes>;
  const float* a = product.a + row * product.a_stride;
  const float* b = product.b + column;
  typename V::Floats sum[kRows][kVectors] = {};
  for (int64_t k = 0; k < product.depth; ++k) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        sum[r][v] += V::At(b + k * product.b_stride + v * V::kCount) * a[r * product.a_stride + k];
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) finish(row + r, column + v * V::kCount, sum[r][v]);
  }
}

template <int kBytes, int kVectors, typename Finish>
[[gnu::always_inline]] inline void MultiplyStrip(const Product& product, int64_t rows,
                                                 int64_t column, const Finish& finish) {
  int64_t row = 0;
  for (; row + kBlockRows <= rows; row += kBlockRows) {
    MultiplyBlock<kBytes, kBlockRows, kVectors>(product, row, column, finish);
  }
  for (; row + 2 <= rows; row += 2) {
    MultiplyBlock<kBytes, 2, kVectors>(product, row, column, finish);
  }
  for (; row < rows; ++row) MultiplyBlock<kBytes, 1, kVectors>(product, row, column, finish);
}

// Strip by strip of columns, so that a strip of b stays in the first-level cache for all rows.
template <int kBytes, typename Finish>
[[gnu::always_inline]] inline void Multiply(const Product& product, int64_t rows, int64_t columns,
                                            const Finish& finish) {
  constexpr int64_t kCount = Vector<kBytes>::kCount;
  int64_t column = 0;
  for (; column + kBlockVectors * kCount <= columns; column += kBlockVectors * kCount) {
    MultiplyStrip<kBytes, kBlockVectors>(product, rows, column, finish);
  }
  for (; column < columns; column += kCount) {
    MultiplyStrip<kBytes, 1>(product, rows, column, finish);
  }
}

// x = exp(x) for x <= 0 or NaN, to 2e-7 relative; 0 where the result would be subnormal.
template <int kBytes>
[[gnu::always_inline]] inline void Exponential(typename Vector<kBytes>::Floats& x) {
  using Floats = typename Vector<kBytes>::Floats;
  using Words = typename Vector<kBytes>::Words;
  constexpr float kLog2E = 1.44269504F;
  constexpr float kSmallest = -87.3F;
  // Adding 1.5 * 2^23 leaves the nearest integer n of x * log2(e) in the lowest bits.
  constexpr float kRound = 12582912.0F;
  // ln 2 in two parts, the first with 9 trailing zeros: n * kLn2High is exact.
  constexpr float kLn2High = 0.693359375F;
  constexpr float kLn2Low = -2.12194440e-4F;
  const Floats rounded = x * kLog2E + kRound;
  const Floats n = rounded - kRound;
  const Floats f = (x - n * kLn2High) - n * kLn2Low;
  // Minimax for (exp(f) - 1 - f) / f^2 over |f| <= ln(2) / 2: relative error of exp 3.1e-9.
  Floats p = f * 0x1.6a241ap-10F + 0x1.1239f2p-7F;
  p = p * f + 0x1.5558f2p-5F;
  p = p * f + 0x1.555492p-3F;
  p = p * f + 0x1.fffffcp-2F;
  p = p * f * f + f + 1.0F;
  const Words power = (reinterpret_cast<Words>(rounded) << 23) + 0x3f800000U;  // 2^n
  x = x < kSmallest ? Floats{} : p * reinterpret_cast<Floats>(power);
}

struct Scores {
  template <int kBytes>
  [[gnu::always_inline]] static void Run(const ScoreTile& tile) {
    const Product product = {tile.queries, tile.dim, tile.keys, tile.columns, tile.dim};
    const auto store = [&tile](int64_t row, int64_t column, const auto& sum) {
      Vector<kBytes>::At(tile.scores + row * tile.columns + column) = sum * tile.scale + tile.bias;
    };
    Multiply<kBytes>(product, tile.rows, tile.columns, store);
  }
};

struct Values {
  template <int kBytes>
  [[gnu::always_inline]] static void Run(const ValueTile& tile) {
    const Product product = {tile.weights, PaddedCount(tile.keys), tile.values, tile.columns,
                             tile.keys};
    const auto add = [&tile](int64_t row, int64_t column, const auto& sum) {
      auto& out = Vector<kBytes>::At(tile.out + row * tile.columns + column);
      out = out * tile.carry[row] + sum;
    };
    Multiply<kBytes>(product, tile.rows, tile.columns, add);
  }
};

struct Softmax {
  // One row; returns the carry.
  template <int kBytes>
  [[gnu::always_inline]] static float RunRow(int64_t columns, float* scores,
                                             SoftmaxState<float>* state) {
    using V = Vector<kBytes>;
    using Floats = typename V::Floats;
    Floats highest = Floats{} - kInfinity;
    for (int64_t c = 0; c < columns; c += V::kCount) {
      const Floats& s = V::At(scores + c);
      highest = s > highest ? s : highest;  // Passes over NaN, which the sum will hold.
    }
    float candidate = -kInfinity;
    for (int64_t i = 0; i < V::kCount; ++i) candidate = std::max(candidate, highest[i]);
    state->Raise(candidate);
    // Where nothing was seen every difference is to be -infinity, not NaN.
    const float shift = state->max == -kInfinity ? 0 : state->max;

    Floats sums{};
    for (int64_t c = 0; c < columns; c += V::kCount) {
      Floats p = V::At(scores + c) - shift;
      Exponential<kBytes>(p);
      sums += p;
      V::At(scores + c) = p;
    }
    const float before = state->sum;
    for (int64_t i = 0; i < V::kCount; ++i) state->sum += sums[i];
    const float inverse = state->sum == 0 ? 0 : 1 / state->sum;
    for (int64_t c = 0; c < columns; c += V::kCount) V::At(scores + c) *= inverse;
    return before * inverse;
  }

  template <int kBytes>
  [[gnu::always_inline]] static void Run(const SoftmaxTile& tile) {
    const int64_t columns = PaddedCount(tile.keys);
    for (int64_t row = 0; row < tile.rows; ++row) {
      float* const scores = tile.scores + row * columns;
      std::fill(scores + tile.keys, scores + columns, -kInfinity);
      tile.carry[row] = RunRow<kBytes>(columns, scores, &tile.states[row]);
    }
  }
};

template <typename Kernel, typename Tile>
void RunPortable(const Tile& tile) {
  Kernel::template Run<16>(tile);
}
constexpr TileKernels kPortable = {"portable", RunPortable<Scores>, RunPortable<Softmax>,
                                   RunPortable<Values>};

#if defined(__x86_64__)
template <typename Kernel, typename Tile>
[[gnu::target("avx2,fma")]] void RunAvx2(const Tile& tile) {
  Kernel::template Run<32>(tile);
}

template <typename Kernel, typename Tile>
[[gnu::target("avx512f,fma")]] void RunAvx512(const Tile& tile) {
  Kernel::template Run<64>(tile);
}

constexpr TileKernels kFastestFirst[] = {
    {"avx512", RunAvx512<Scores>, RunAvx512<Softmax>, RunAvx512<Values>},
    {"avx2", RunAvx2<Scores>, RunAvx2<Softmax>, RunAvx2<Values>},
    kPortable,
};
#else
constexpr TileKernels kFastestFirst[] = {kPortable};
#endif

}  // namespace

std::span<const TileKernels> AvailableTileKernels() {
  const std::span<const TileKernels> all(kFastestFirst);
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return all;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return all.subspan(1);
  return all.subspan(2);
#else
  return all;
#endif
}

}  // namespace attn
