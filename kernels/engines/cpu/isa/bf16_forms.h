// What the bf16 tables share, which is all but their products: packing of bf16 tokens in pairs, and
// weights rounded to bf16.
#ifndef ATTN_KERNELS_ENGINES_CPU_ISA_BF16_FORMS_H_
#define ATTN_KERNELS_ENGINES_CPU_ISA_BF16_FORMS_H_

#include <immintrin.h>

#include <cstdint>

#include "kernels/engines/cpu/isa/avx512_vector.h"
#include "kernels/engines/cpu/isa/modify.h"
#include "kernels/engines/cpu/isa/pack.h"
#include "kernels/engines/cpu/isa/rows.h"
#include "kernels/engines/cpu/isa/softmax.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {

// Two bf16 of a token as one step of four bytes, moved as they are. `dim` counts steps.
template <typename Isa>
struct Pairs {
  using Element = float;
  [[gnu::always_inline]] static auto Load(const float* from) { return Vector<Isa>::Load(from); }
};

// TileKernels::pack_keys. Tokens are bf16. An odd dimension ends in half a step, which is taken
// apart so that nothing past the token is read.
template <typename Isa>
void PackBf16Keys(const PackKeysTile& tile) {
  const TokenGroup& group = tile.group;
  auto* to = static_cast<float*>(tile.to);
  PackSteps<Pairs<Isa>, Isa>(group.tokens, group.dim / 2, tile.depth / 2, to);
  if (group.dim % 2 == 0) return;
  auto* last = static_cast<uint16_t*>(tile.to) + group.dim / 2 * kLaneCount * 2;
  for (int64_t t = 0; t < kLaneCount; ++t) {
    if (group.tokens[t] == nullptr) continue;
    last[2 * t] = static_cast<const uint16_t*>(group.tokens[t])[group.dim - 1];
  }
}

// kLaneCount bf16 of a token from `begin` on, zeros past its end and where it is null.
template <typename Isa>
[[gnu::always_inline]] inline __m256i LoadBf16(const void* token, int64_t begin, int64_t dim) {
  if (token == nullptr) return _mm256_setzero_si256();
  const int64_t count = dim - begin < kLaneCount ? dim - begin : kLaneCount;
  const auto mask = static_cast<__mmask16>((uint32_t{1} << count) - 1);
  return _mm256_maskz_loadu_epi16(mask, static_cast<const uint16_t*>(token) + begin);
}

// TileKernels::pack_values. Tokens are bf16.
template <typename Isa>
bool PackBf16Values(const PackValuesTile& tile) {
  const TokenGroup& group = tile.group;
  const __m256i exponent = _mm256_set1_epi16(0x7f80);
  uint32_t infinite = 0;
  for (int64_t t = 0; t < kLaneCount; t += 2) {
    char* to = static_cast<char*>(tile.to) + t * kLaneCount * 2;
    for (int64_t begin = 0; begin < group.dim; begin += kLaneCount, to += tile.group_bytes) {
      const __m256i even = LoadBf16<Isa>(group.tokens[t], begin, group.dim);
      const __m256i odd = LoadBf16<Isa>(group.tokens[t + 1], begin, group.dim);
      infinite |= _mm256_cmpeq_epi16_mask(_mm256_and_si256(even, exponent), exponent) |
                  _mm256_cmpeq_epi16_mask(_mm256_and_si256(odd, exponent), exponent);
      const __m512i pairs = _mm512_or_si512(_mm512_cvtepu16_epi32(even),
                                            _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
      _mm512_storeu_si512(to, pairs);
    }
  }
  return infinite == 0;
}

// Weights of bf16 tables: round to nearest even, NaN kept.
template <typename Isa>
struct Bf16Weights {
  [[gnu::always_inline]] static void Store(float* row, int64_t column,
                                           typename Vector<Isa>::Floats p) {
    const __m256bh rounded = _mm512_cvtneps_pbh(p);
    __builtin_memcpy(reinterpret_cast<uint16_t*>(row) + column, &rounded, sizeof rounded);
  }
};

// The table but for its products.
template <typename Isa>
constexpr TileKernels Bf16KernelsOf() {
  return {.operand = Operand::kBFloat16,
          .depth_multiple = 2,
          .token_multiple = 2,
          .column_multiple = kLaneCount,
          .load_row = LoadRowAs<Isa>,
          .store_row = StoreRowAs<Isa>,
          .pack_keys = PackBf16Keys<Isa>,
          .pack_values = PackBf16Values<Isa>,
          .modify_scores = ModifyScores<Isa>,
          .hide_scores = HideScores<Isa>,
          .update_softmax = UpdateSoftmax<Isa, Bf16Weights<Isa>>,
          .enter = nullptr,
          .leave = nullptr,
          .compute_scores = nullptr,
          .accumulate_values = nullptr,
          .stream_scores = nullptr,
          .stream_values = nullptr};
}

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_ISA_BF16_FORMS_H_
