// AMX's tiles in software: what Intel's manual (volume 2) says that its instructions do.
//
// bf16 alone and palette 1 alone, as the CPU engine uses them. Every instruction says nullptr, or
// why a processor would have raised an exception. Not thread-safe: one a thread, as in a processor.
#ifndef ATTN_TESTS_SUPPORT_AMX_TILES_H_
#define ATTN_TESTS_SUPPORT_AMX_TILES_H_

#include <cstddef>
#include <cstdint>

namespace attn {

class AmxTiles {
 public:
  static constexpr int kTileCount = 8;
  static constexpr int kMaxRows = 16;
  static constexpr int kMaxRowBytes = 64;
  static constexpr int kConfigBytes = 64;

  const char* LoadConfig(const std::byte* config);   // LDTILECFG
  const char* StoreConfig(std::byte* config) const;  // STTILECFG
  const char* Release();                             // TILERELEASE
  const char* Zero(int tile);                        // TILEZERO
  // TILELOADD, TILELOADDT1, TILESTORED. Rows are `stride` bytes apart.
  const char* Load(int tile, const std::byte* from, int64_t stride);
  const char* Store(int tile, std::byte* to, int64_t stride) const;
  // TDPBF16PS: sums += left * right. Needs AVX-512 F.
  const char* AddProducts(int sums, int left, int right);

 private:
  // Of a tile's configuration; 0 x 0 where it has none.
  struct Shape {
    int rows = 0;
    int row_bytes = 0;
  };

  const char* CheckShape(int tile) const;

  bool configured_ = false;
  std::byte config_[kConfigBytes] = {};
  Shape shapes_[kTileCount] = {};
  alignas(64) std::byte tiles_[kTileCount][kMaxRows][kMaxRowBytes] = {};
};

}  // namespace attn

#endif  // ATTN_TESTS_SUPPORT_AMX_TILES_H_
