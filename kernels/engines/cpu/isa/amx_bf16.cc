// Kernels for processors with AMX: both products in tiles of bf16, summed in fp32; the rest is that
// of avx512_bf16.cc.
//
// A tile holds 16 rows of 64 bytes. A product of tiles takes the unit 16 cycles (latency 52), a
// tile loaded from the first-level cache 8, one stored 16 (spec: Intel's optimization manual). Sums
// of 32 rows x 32 columns stay in four tiles: a step of 32 in depth is four products, 64 cycles,
// and four loads, 32 cycles, and a sum is met again only after 64, when its last product is done.
// Keys and values are read once for each 32 rows, 32 bytes a cycle from the second-level cache at
// the unit's full rate; that cache gives 45 to 64, with its latency hidden by fetching two steps
// ahead.
#include <immintrin.h>

#include <cstdint>

#include "kernels/engines/cpu/isa/avx512_vector.h"
#include "kernels/engines/cpu/isa/bf16_forms.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {
namespace {

struct File {};
using Isa = Avx512<File>;

constexpr int64_t kTileHeight = 16;
constexpr int64_t kTileWidthBytes = 64;
constexpr int64_t kTileBytes = kTileHeight * kTileWidthBytes;
constexpr int64_t kStepDepth = 32;  // bf16 of a tile's row.

// Fetched ahead by two steps, 128 cycles: several times that cache's latency, and 4 KiB of the
// first.
constexpr int64_t kStepsAhead = 2;

// LDTILECFG's operand: palette 1, all eight tiles of full size.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t width_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t height[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);
constexpr TileConfig kFullTiles;

void EnterTiles() { _tile_loadconfig(&kFullTiles); }
void LeaveTiles() { _tile_release(); }

// Tiles are named by literals: GCC writes them into the instruction as they stand. Sums are in
// tiles 0 to 3.

// 17 to 32 rows by kGroups groups of kLaneCount columns: row tile r, group g sum in tile 2r + g.
template <int kGroups>
struct TwoRowTiles {
  static constexpr int kGroupCount = kGroups;
  static constexpr bool kFetchesAhead = true;

  [[gnu::always_inline]] static void Zero() {
    _tile_zero(0);
    _tile_zero(2);
    if constexpr (kGroups == 2) {
      _tile_zero(1);
      _tile_zero(3);
    }
  }
  [[gnu::always_inline]] static void Load(const float* sums, int64_t stride_bytes) {
    const float* lower = sums + kTileHeight * stride_bytes / 4;
    _tile_loadd(0, sums, stride_bytes);
    _tile_loadd(2, lower, stride_bytes);
    if constexpr (kGroups == 2) {
      _tile_loadd(1, sums + kLaneCount, stride_bytes);
      _tile_loadd(3, lower + kLaneCount, stride_bytes);
    }
  }
  [[gnu::always_inline]] static void Store(float* sums, int64_t stride_bytes) {
    float* lower = sums + kTileHeight * stride_bytes / 4;
    _tile_stored(0, sums, stride_bytes);
    _tile_stored(2, lower, stride_bytes);
    if constexpr (kGroups == 2) {
      _tile_stored(1, sums + kLaneCount, stride_bytes);
      _tile_stored(3, lower + kLaneCount, stride_bytes);
    }
  }
  // Each load stands before the first product that needs it, so that products run under the loads
  // of the next.
  [[gnu::always_inline]] static void Multiply(const char* left, int64_t left_stride,
                                              const char* right, int64_t group_bytes) {
    _tile_loadd(6, right, kTileWidthBytes);
    _tile_loadd(4, left, left_stride);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(5, left + kTileHeight * left_stride, left_stride);
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (kGroups == 2) {
      _tile_loadd(7, right + group_bytes, kTileWidthBytes);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
};

// 1 to 16 rows by kGroups groups: up to four, so that here as well a sum rests while three others
// are added to. Bound by the loads, which fetching ahead would only crowd.
template <int kGroups>
struct OneRowTile {
  static constexpr int kGroupCount = kGroups;
  static constexpr bool kFetchesAhead = false;

  [[gnu::always_inline]] static void Zero() {
    _tile_zero(0);
    if constexpr (kGroups > 1) _tile_zero(1);
    if constexpr (kGroups > 2) _tile_zero(2);
    if constexpr (kGroups > 3) _tile_zero(3);
  }
  [[gnu::always_inline]] static void Load(const float* sums, int64_t stride_bytes) {
    _tile_loadd(0, sums, stride_bytes);
    if constexpr (kGroups > 1) _tile_loadd(1, sums + kLaneCount, stride_bytes);
    if constexpr (kGroups > 2) _tile_loadd(2, sums + 2 * kLaneCount, stride_bytes);
    if constexpr (kGroups > 3) _tile_loadd(3, sums + 3 * kLaneCount, stride_bytes);
  }
  [[gnu::always_inline]] static void Store(float* sums, int64_t stride_bytes) {
    _tile_stored(0, sums, stride_bytes);
    if constexpr (kGroups > 1) _tile_stored(1, sums + kLaneCount, stride_bytes);
    if constexpr (kGroups > 2) _tile_stored(2, sums + 2 * kLaneCount, stride_bytes);
    if constexpr (kGroups > 3) _tile_stored(3, sums + 3 * kLaneCount, stride_bytes);
  }
  [[gnu::always_inline]] static void Multiply(const char* left, int64_t left_stride,
                                              const char* right, int64_t group_bytes) {
    _tile_loadd(4, left, left_stride);
    _tile_loadd(5, right, kTileWidthBytes);
    _tile_dpbf16ps(0, 4, 5);
    if constexpr (kGroups > 1) {
      _tile_loadd(6, right + group_bytes, kTileWidthBytes);
      _tile_dpbf16ps(1, 4, 6);
    }
    if constexpr (kGroups > 2) {
      _tile_loadd(7, right + 2 * group_bytes, kTileWidthBytes);
      _tile_dpbf16ps(2, 4, 7);
    }
    if constexpr (kGroups > 3) {
      _tile_loadd(5, right + 3 * group_bytes, kTileWidthBytes);
      _tile_dpbf16ps(3, 4, 5);
    }
  }
};

[[gnu::always_inline]] inline void FetchTile(const char* tile) {
#pragma GCC unroll 16
  for (int64_t row = 0; row < kTileHeight; ++row) {
    __builtin_prefetch(tile + row * kTileWidthBytes);
  }
}

// sums[row][column] = or += sum over the steps of left[row] * right[group of columns].
struct Product {
  const char* left;     // Rows of bf16
  int64_t left_stride;  // Bytes from row to row.
  const char* right;    // [group][step][tile]
  int64_t group_bytes;  // From group to group.
  int64_t steps;        // Of kStepDepth.
  float* sums;          // [rows][sums_stride]
  int64_t sums_stride;  // Bytes from row to row.
  int64_t rows;         // 1 to kTileRows
  int64_t groups;       // Of kLaneCount columns.
};

enum class Start { kFromZero, kFromSums };

// Groups [group, group + Shape::kGroupCount) of the product. kSteps: its steps where they are
// known, else 0.
template <typename Shape, Start kStart, int kSteps>
[[gnu::always_inline]] inline void RunBlock(const Product& product, int64_t group) {
  const int64_t steps = kSteps > 0 ? kSteps : product.steps;
  const char* right = product.right + group * product.group_bytes;
  float* sums = product.sums + group * kLaneCount;
  if constexpr (kStart == Start::kFromZero) {
    Shape::Zero();
  } else {
    Shape::Load(sums, product.sums_stride);
  }
  // The block after this one; the last has none and fetches what it has.
  const bool last = group + Shape::kGroupCount >= product.groups;
  const char* next = last ? right : right + Shape::kGroupCount * product.group_bytes;
  const auto run_step = [&](int64_t step) __attribute__((always_inline)) {
    Shape::Multiply(product.left + step * kTileWidthBytes, product.left_stride,
                    right + step * kTileBytes, product.group_bytes);
    if constexpr (Shape::kFetchesAhead) {
      const int64_t later = step + (steps < kStepsAhead ? steps : kStepsAhead);
      const char* fetched =
          later < steps ? right + later * kTileBytes : next + (later - steps) * kTileBytes;
      FetchTile(fetched);
      if constexpr (Shape::kGroupCount == 2) FetchTile(fetched + product.group_bytes);
    }
  };
  if constexpr (kSteps > 0) {
#pragma GCC unroll 8
    for (int step = 0; step < kSteps; ++step) run_step(step);
  } else {
#pragma GCC unroll 1
    for (int64_t step = 0; step < steps; ++step) run_step(step);
  }
  Shape::Store(sums, product.sums_stride);
}

template <Start kStart, int kSteps>
void RunTwoRowTiles(const Product& product) {
  int64_t group = 0;
  for (; group + 2 <= product.groups; group += 2) {
    RunBlock<TwoRowTiles<2>, kStart, kSteps>(product, group);
  }
  if (group < product.groups) RunBlock<TwoRowTiles<1>, kStart, 0>(product, group);
}

template <Start kStart>
void RunOneRowTile(const Product& product) {
  int64_t group = 0;
  for (; group + 4 <= product.groups; group += 4) {
    RunBlock<OneRowTile<4>, kStart, 0>(product, group);
  }
  switch (product.groups - group) {
    case 3:
      return RunBlock<OneRowTile<3>, kStart, 0>(product, group);
    case 2:
      return RunBlock<OneRowTile<2>, kStart, 0>(product, group);
    case 1:
      return RunBlock<OneRowTile<1>, kStart, 0>(product, group);
    default:
      return;
  }
}

// The usual depths and token counts, 64, 128 and 256, without a loop over their steps: what is
// fetched ahead then has a constant address, and no branch is there to be guessed wrong.
template <Start kStart>
void Run(const Product& product) {
  if (product.rows <= kTileHeight) return RunOneRowTile<kStart>(product);
  switch (product.steps) {
    case 2:
      return RunTwoRowTiles<kStart, 2>(product);
    case 4:
      return RunTwoRowTiles<kStart, 4>(product);
    case 8:
      return RunTwoRowTiles<kStart, 8>(product);
    default:
      return RunTwoRowTiles<kStart, 0>(product);
  }
}

void ComputeScores(const ScoreTile& tile) {
  Run<Start::kFromZero>({.left = static_cast<const char*>(tile.queries),
                         .left_stride = tile.depth * 2,
                         .right = static_cast<const char*>(tile.keys),
                         .group_bytes = tile.depth * kLaneCount * 2,
                         .steps = tile.depth / kStepDepth,
                         .sums = tile.scores,
                         .sums_stride = tile.stride * 4,
                         .rows = tile.rows,
                         .groups = tile.columns / kLaneCount});
}

// All of it before the first tile is loaded: a load waits for a store that it overtakes. A row's
// highest score seldom changes after its first keys.
void ApplyCarry(const ValueTile& tile) {
  for (int64_t r = 0; r < tile.rows; ++r) {
    if (tile.carry[r] == 1) continue;
    const __m512 carry = _mm512_set1_ps(tile.carry[r]);
    float* out = tile.out + r * tile.columns;
    for (int64_t c = 0; c < tile.columns; c += kLaneCount) {
      _mm512_storeu_ps(out + c, _mm512_mul_ps(carry, _mm512_loadu_ps(out + c)));
    }
  }
}

void AccumulateValues(const ValueTile& tile) {
  if (tile.carry != nullptr) ApplyCarry(tile);
  // GCC's tile loads do not say that they read memory.
  asm volatile("" ::: "memory");
  Run<Start::kFromSums>({.left = static_cast<const char*>(tile.weights),
                         .left_stride = tile.stride * 4,
                         .right = static_cast<const char*>(tile.values),
                         .group_bytes = tile.group_bytes,
                         .steps = tile.tokens / kStepDepth,
                         .sums = tile.out,
                         .sums_stride = tile.columns * 4,
                         .rows = tile.rows,
                         .groups = tile.columns / kLaneCount});
}

constexpr TileKernels Kernels() {
  TileKernels kernels = Bf16KernelsOf<Isa>();
  kernels.depth_multiple = kStepDepth;
  kernels.token_multiple = kStepDepth;
  kernels.column_multiple = 2 * kLaneCount;
  kernels.enter = EnterTiles;
  kernels.leave = LeaveTiles;
  kernels.compute_scores = ComputeScores;
  kernels.accumulate_values = AccumulateValues;
  return kernels;
}

}  // namespace

constinit const TileKernels kAmxBf16Kernels = Kernels();

}  // namespace attn
