// Matrix products of a score tile by vector registers: scores from queries and keys, outputs from
// weights and values.
#ifndef ATTN_KERNELS_ENGINES_CPU_ISA_PRODUCT_H_
#define ATTN_KERNELS_ENGINES_CPU_ISA_PRODUCT_H_

#include <cstdint>

#include "kernels/engines/cpu/isa/vector.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {

// sums[row][column] over `steps` of a[row][step] * b[column's group][step][column]. A step is four
// bytes: one fp32, or a pair of bf16 whose two products are added at once.
struct Product {
  const float* a;
  int64_t a_stride;  // Steps from row to row.
  const float* b;
  int64_t b_group;  // Steps * kLaneCount from group to group.
  int64_t steps;
};

// One step in fp32.
template <typename Isa>
struct Fp32Step {
  using V = Vector<Isa>;
  [[gnu::always_inline]] static void Add(typename V::Floats& sum, float a, typename V::Floats b) {
    sum += b * a;  // Contracted to a fused multiply-add.
  }
};

// kRows x kGroups groups of sums at (row, group), each vector handed to finish(row, column, sum).
template <typename Isa, typename Step, int kRows, int kGroups, typename Finish>
[[gnu::always_inline]] inline void MultiplyBlock(const Product& product, int64_t row, int64_t group,
                                                 const Finish& finish) {
  using V = Vector<Isa>;
  constexpr int kParts = kLaneCount / V::kCount;  // Vectors of a group.
  constexpr int kVectors = kGroups * kParts;
  const float* a = product.a + row * product.a_stride;
  const float* b = product.b + group * product.b_group;
  typename V::Floats sum[kRows][kVectors] = {};
  for (int64_t k = 0; k < product.steps; ++k) {
    typename V::Floats columns[kVectors];
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      columns[v] =
          V::Load(b + v / kParts * product.b_group + k * kLaneCount + v % kParts * V::kCount);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) {
        Step::Add(sum[r][v], a[r * product.a_stride + k], columns[v]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      finish(row + r, group * kLaneCount + v * V::kCount, sum[r][v]);
    }
  }
}

template <typename Isa, typename Step, int kGroups, typename Finish>
[[gnu::always_inline]] inline void MultiplyStrip(const Product& product, int64_t rows,
                                                 int64_t group, const Finish& finish) {
  int64_t row = 0;
  for (; row + Isa::kProductRows <= rows; row += Isa::kProductRows) {
    MultiplyBlock<Isa, Step, Isa::kProductRows, kGroups>(product, row, group, finish);
  }
  if constexpr (Isa::kProductRows > 4) {
    for (; row + 4 <= rows; row += 4) {
      MultiplyBlock<Isa, Step, 4, kGroups>(product, row, group, finish);
    }
  }
  for (; row < rows; ++row) MultiplyBlock<Isa, Step, 1, kGroups>(product, row, group, finish);
}

// Strip by strip of groups, so that a strip of b stays in the first-level cache for all rows.
template <typename Isa, typename Step, typename Finish>
[[gnu::always_inline]] inline void Multiply(const Product& product, int64_t rows, int64_t groups,
                                            const Finish& finish) {
  int64_t group = 0;
  for (; group + Isa::kProductGroups <= groups; group += Isa::kProductGroups) {
    MultiplyStrip<Isa, Step, Isa::kProductGroups>(product, rows, group, finish);
  }
  if constexpr (Isa::kProductGroups > 1) {
    for (; group < groups; ++group) MultiplyStrip<Isa, Step, 1>(product, rows, group, finish);
  }
}

// TileKernels::compute_scores. kPair: elements of a step.
template <typename Isa, typename Step, int kPair>
void ComputeScores(const ScoreTile& tile) {
  const int64_t steps = tile.depth / kPair;
  const Product product = {.a = static_cast<const float*>(tile.queries),
                           .a_stride = steps,
                           .b = static_cast<const float*>(tile.keys),
                           .b_group = steps * kLaneCount,
                           .steps = steps};
  Multiply<Isa, Step>(product, tile.rows, tile.columns / kLaneCount,
                      [&tile](int64_t row, int64_t column, const auto& sum) {
                        Vector<Isa>::Store(tile.scores + row * tile.stride + column, sum);
                      });
}

// TileKernels::accumulate_values.
template <typename Isa, typename Step, int kPair>
void AccumulateValues(const ValueTile& tile) {
  const Product product = {.a = static_cast<const float*>(tile.weights),
                           .a_stride = tile.stride,
                           .b = static_cast<const float*>(tile.values),
                           .b_group = tile.group_bytes / static_cast<int64_t>(sizeof(float)),
                           .steps = tile.tokens / kPair};
  const int64_t groups = tile.columns / kLaneCount;
  using V = Vector<Isa>;
  if (tile.carry == nullptr) {
    Multiply<Isa, Step>(product, tile.rows, groups,
                        [&tile](int64_t row, int64_t column, const auto& sum) {
                          float* out = tile.out + row * tile.columns + column;
                          V::Store(out, V::Load(out) + sum);
                        });
    return;
  }
  Multiply<Isa, Step>(product, tile.rows, groups,
                      [&tile](int64_t row, int64_t column, const auto& sum) {
                        float* out = tile.out + row * tile.columns + column;
                        V::Store(out, V::Load(out) * tile.carry[row] + sum);
                      });
}

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_ISA_PRODUCT_H_
