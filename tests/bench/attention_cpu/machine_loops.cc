#include "tests/bench/attention_cpu/machine_loops.h"

#include <algorithm>

#include "kernels/engines/cpu/cpu_isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace attn {
namespace {

// Independent sums in flight. Two units of latency 4 need 8; more hide what the loop itself costs,
// and 16 of them leave room for the factors in 32 registers, 12 in 16.
constexpr int kWideSums = 16;
constexpr int kNarrowSums = 12;

// Four lanes, a multiplication and an addition each: any processor.
double PortableLoop(int64_t rounds) {
  using Lanes = float __attribute__((vector_size(16)));
  const Lanes factor = Lanes{} + 0.5F;
  Lanes sums[kNarrowSums] = {};
  asm volatile("" : "+m"(sums));  // Unknown, or all would be one.
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kNarrowSums; ++i) sums[i] = sums[i] * factor + factor;
  }
  asm volatile("" : "+m"(sums));
  return static_cast<double>(rounds) * kNarrowSums * 4 * 2;
}

using Words16 = uint64_t __attribute__((vector_size(16)));
using Words32 = uint64_t __attribute__((vector_size(32)));
using Words64 = uint64_t __attribute__((vector_size(64)));

// Four streams of vectors: the prefetchers of a core follow several, and one alone leaves some of
// the bandwidth unused.
template <typename Words>
[[gnu::always_inline]] inline uint64_t ReadStreams(const std::byte* data, int64_t bytes) {
  constexpr int64_t kBytes = sizeof(Words);
  constexpr int kStreams = 4;
  const auto* const words = reinterpret_cast<const Words*>(data);
  const int64_t per_stream = bytes / kBytes / kStreams;
  Words sums[kStreams] = {};
  for (int64_t i = 0; i < per_stream; ++i) {
#pragma GCC unroll 4
    for (int stream = 0; stream < kStreams; ++stream) {
      sums[stream] ^= words[stream * per_stream + i];
    }
  }
  const Words all = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
  uint64_t sum = 0;
  for (int64_t i = 0; i < kBytes / 8; ++i) sum ^= all[i];
  return sum;
}

uint64_t PortableRead(const std::byte* data, int64_t bytes) {
  return ReadStreams<Words16>(data, bytes);
}

#if defined(__x86_64__)

// So that the compiler can neither foresee a value nor drop it.
template <typename T>
void Opaque(T& value) {
  asm volatile("" : "+x"(value));
}

bool Runs(CpuIsa isa) {
  const std::vector<CpuIsa>& supported = SupportedCpuIsas();
  return std::find(supported.begin(), supported.end(), isa) != supported.end();
}

[[gnu::target("avx2")]] uint64_t Avx2Read(const std::byte* data, int64_t bytes) {
  return ReadStreams<Words32>(data, bytes);
}

[[gnu::target("avx512f")]] uint64_t Avx512Read(const std::byte* data, int64_t bytes) {
  return ReadStreams<Words64>(data, bytes);
}

[[gnu::target("avx2,fma")]] double Avx2Loop(int64_t rounds) {
  __m256 factor = _mm256_set1_ps(0.5F);
  Opaque(factor);
  __m256 sums[kNarrowSums];
  for (__m256& sum : sums) sum = factor;
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kNarrowSums; ++i) sums[i] = _mm256_fmadd_ps(sums[i], factor, factor);
  }
#pragma GCC unroll 16
  for (int i = 0; i < kNarrowSums; ++i) Opaque(sums[i]);
  return static_cast<double>(rounds) * kNarrowSums * 8 * 2;
}

[[gnu::target("avx512f")]] double Avx512Loop(int64_t rounds) {
  __m512 factor = _mm512_set1_ps(0.5F);
  Opaque(factor);
  __m512 sums[kWideSums];
  for (__m512& sum : sums) sum = factor;
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kWideSums; ++i) sums[i] = _mm512_fmadd_ps(sums[i], factor, factor);
  }
#pragma GCC unroll 16
  for (int i = 0; i < kWideSums; ++i) Opaque(sums[i]);
  return static_cast<double>(rounds) * kWideSums * 16 * 2;
}

[[gnu::target("avx512f,avx512bf16")]] double Avx512Bf16Loop(int64_t rounds) {
  const __m512 half = _mm512_set1_ps(0.5F);
  __m512 sums[kWideSums];
  for (__m512& sum : sums) sum = half;
  __m512i factors = _mm512_set1_epi16(0x3f00);  // 0.5
  Opaque(factors);
  const auto pairs = reinterpret_cast<__m512bh>(factors);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kWideSums; ++i) sums[i] = _mm512_dpbf16_ps(sums[i], pairs, pairs);
  }
#pragma GCC unroll 16
  for (int i = 0; i < kWideSums; ++i) Opaque(sums[i]);
  return static_cast<double>(rounds) * kWideSums * 32 * 2;
}

// Palette 1: eight tiles of 16 rows x 64 bytes.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Four sums, of two left and two right tiles: a product is issued every 16 cycles and done after
// 52. All tiles hold zeros, which take the unit as long as anything else.
[[gnu::target("amx-tile,amx-bf16")]] double AmxBf16Loop(int64_t rounds) {
  const TileConfig config;
  _tile_loadconfig(&config);
  for (int64_t round = 0; round < rounds; ++round) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
  return static_cast<double>(rounds) * 4 * (16 * 16 * 32) * 2;
}

#endif  // defined(__x86_64__)

}  // namespace

#if defined(__x86_64__)
RegisterLoop Fp32Loop() {
  if (Runs(CpuIsa::kAvx512)) return Avx512Loop;
  return Runs(CpuIsa::kAvx2) ? Avx2Loop : PortableLoop;
}
RegisterLoop Bf16DotLoop() { return Runs(CpuIsa::kAvx512Bf16) ? Avx512Bf16Loop : nullptr; }
RegisterLoop AmxLoop() { return Runs(CpuIsa::kAmxBf16) ? AmxBf16Loop : nullptr; }
ReadLoop WidestReadLoop() {
  if (Runs(CpuIsa::kAvx512)) return Avx512Read;
  return Runs(CpuIsa::kAvx2) ? Avx2Read : PortableRead;
}
#else
RegisterLoop Fp32Loop() { return PortableLoop; }
RegisterLoop Bf16DotLoop() { return nullptr; }
RegisterLoop AmxLoop() { return nullptr; }
ReadLoop WidestReadLoop() { return PortableRead; }
#endif

}  // namespace attn
