#include "tests/support/amx_tiles.h"

#include <cstring>
#include <initializer_list>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace attn {
namespace {

// Places in LDTILECFG's operand. Palette 1 uses the first eight of each sixteen.
constexpr int kPaletteAt = 0;
constexpr int kReservedFrom = 1;  // The start row, which is 0 but after faults, and reserved bytes.
constexpr int kRowBytesAt = 16;
constexpr int kUnusedRowBytesAt = 32;
constexpr int kRowsAt = 48;
constexpr int kUnusedRowsAt = 56;

bool AllZero(const std::byte* begin, const std::byte* end) {
  for (; begin != end; ++begin) {
    if (*begin != std::byte{0}) return false;
  }
  return true;
}

}  // namespace

const char* AmxTiles::LoadConfig(const std::byte* config) {
  std::byte copy[kConfigBytes];
  std::memcpy(copy, config, sizeof copy);
  if (copy[kPaletteAt] == std::byte{0}) return Release();
  if (copy[kPaletteAt] != std::byte{1}) return "LDTILECFG: a palette other than 0 and 1";
  if (!AllZero(copy + kReservedFrom, copy + kRowBytesAt) ||
      !AllZero(copy + kUnusedRowBytesAt, copy + kRowsAt) ||
      !AllZero(copy + kUnusedRowsAt, copy + kConfigBytes)) {
    return "LDTILECFG: reserved bytes are not zero";
  }
  Shape shapes[kTileCount];
  for (int tile = 0; tile < kTileCount; ++tile) {
    uint16_t row_bytes = 0;
    std::memcpy(&row_bytes, copy + kRowBytesAt + 2 * tile, sizeof row_bytes);
    shapes[tile] = {.rows = std::to_integer<int>(copy[kRowsAt + tile]), .row_bytes = row_bytes};
    if (shapes[tile].rows > kMaxRows || shapes[tile].row_bytes > kMaxRowBytes) {
      return "LDTILECFG: a tile of more than 16 rows of 64 bytes";
    }
    if ((shapes[tile].rows == 0) != (shapes[tile].row_bytes == 0)) {
      return "LDTILECFG: a tile of rows without bytes or bytes without rows";
    }
  }
  configured_ = true;
  std::memcpy(config_, copy, sizeof config_);
  std::memcpy(shapes_, shapes, sizeof shapes_);
  std::memset(tiles_, 0, sizeof tiles_);
  return nullptr;
}

const char* AmxTiles::StoreConfig(std::byte* config) const {
  std::memcpy(config, config_, sizeof config_);
  return nullptr;
}

const char* AmxTiles::Release() {
  configured_ = false;
  std::memset(config_, 0, sizeof config_);
  std::memset(tiles_, 0, sizeof tiles_);
  for (Shape& shape : shapes_) shape = {};
  return nullptr;
}

const char* AmxTiles::CheckShape(int tile) const {
  if (!configured_) return "no tiles are configured";
  if (tile >= kTileCount) return "no such tile";
  if (shapes_[tile].rows == 0) return "the tile is not configured";
  return nullptr;
}

const char* AmxTiles::Zero(int tile) {
  if (const char* error = CheckShape(tile)) return error;
  std::memset(tiles_[tile], 0, sizeof tiles_[tile]);
  return nullptr;
}

const char* AmxTiles::Load(int tile, const std::byte* from, int64_t stride) {
  if (const char* error = Zero(tile)) return error;
  const Shape& shape = shapes_[tile];
  for (int row = 0; row < shape.rows; ++row) {
    std::memcpy(tiles_[tile][row], from + row * stride, static_cast<size_t>(shape.row_bytes));
  }
  return nullptr;
}

const char* AmxTiles::Store(int tile, std::byte* to, int64_t stride) const {
  if (const char* error = CheckShape(tile)) return error;
  const Shape& shape = shapes_[tile];
  for (int row = 0; row < shape.rows; ++row) {
    std::memcpy(to + row * stride, tiles_[tile][row], static_cast<size_t>(shape.row_bytes));
  }
  return nullptr;
}

#if defined(__x86_64__)
namespace {

using Floats = __m512;
using Words [[gnu::vector_size(64)]] = uint32_t;

constexpr int kRowBytes = AmxTiles::kMaxRowBytes;
constexpr int kRowPairs = kRowBytes / 4;  // A pair of bf16, or an fp32 sum.

// The pairs' first and second elements widened to fp32. A bf16 is the upper half of an fp32.
[[gnu::target("avx512f")]] inline Floats FirstOf(const std::byte* pairs) {
  Words words;
  std::memcpy(&words, pairs, sizeof words);
  return reinterpret_cast<Floats>(words << 16);
}
[[gnu::target("avx512f")]] inline Floats SecondOf(const std::byte* pairs) {
  Words words;
  std::memcpy(&words, pairs, sizeof words);
  return reinterpret_cast<Floats>(words & 0xffff0000U);
}

// One row of sums, `pairs` deep: first and second elements are summed apart by fused
// multiply-adds, and their sums added at the end.
[[gnu::target("avx512f,fma"), gnu::noinline]] void AddRowProducts(std::byte* sums,
                                                                  const std::byte* left, int pairs,
                                                                  const std::byte* right) {
  alignas(64) float left_first[kRowPairs];
  alignas(64) float left_second[kRowPairs];
  _mm512_store_ps(left_first, FirstOf(left));
  _mm512_store_ps(left_second, SecondOf(left));
  Floats first = _mm512_setzero_ps();
  Floats second = _mm512_setzero_ps();
  for (int k = 0; k < pairs; ++k) {
    const std::byte* right_row = right + k * kRowBytes;
    first = _mm512_fmadd_ps(_mm512_set1_ps(left_first[k]), FirstOf(right_row), first);
    second = _mm512_fmadd_ps(_mm512_set1_ps(left_second[k]), SecondOf(right_row), second);
  }
  Floats sum;
  std::memcpy(&sum, sums, sizeof sum);
  sum = _mm512_add_ps(sum, _mm512_add_ps(first, second));
  std::memcpy(sums, &sum, sizeof sum);
}

}  // namespace

const char* AmxTiles::AddProducts(int sums, int left, int right) {
  for (const int tile : {sums, left, right}) {
    if (const char* error = CheckShape(tile)) return error;
    if (shapes_[tile].row_bytes % 4 != 0) return "TDPBF16PS: rows of no whole pairs";
  }
  if (sums == left || left == right || sums == right) return "TDPBF16PS: a tile twice";
  const int pairs = shapes_[left].row_bytes / 4;
  if (shapes_[sums].rows != shapes_[left].rows ||
      shapes_[sums].row_bytes != shapes_[right].row_bytes || pairs != shapes_[right].rows) {
    return "TDPBF16PS: shapes of tiles that do not fit";
  }
  // Denormals count as zero and become zero, results are rounded to nearest even, nothing is
  // signalled, whatever the thread has set.
  constexpr unsigned kDenormalsAreZero = 0x0040;
  constexpr unsigned kFlushToZero = 0x8000;
  constexpr unsigned kMaskAll = 0x1f80;
  const unsigned control = _mm_getcsr();
  _mm_setcsr(kDenormalsAreZero | kFlushToZero | kMaskAll);
  for (int row = 0; row < shapes_[sums].rows; ++row) {
    AddRowProducts(tiles_[sums][row], tiles_[left][row], pairs, tiles_[right][0]);
  }
  _mm_setcsr(control);
  // Past the end of its rows a result is zero: so are the right tile's pairs and the sums there.
  return nullptr;
}
#else
const char* AmxTiles::AddProducts(int, int, int) { return "TDPBF16PS: no such processor"; }
#endif

}  // namespace attn
