// Loops that do nothing but multiply and add in registers, or read memory: what a core can do at
// best.
#ifndef ATTN_TESTS_BENCH_ATTENTION_CPU_MACHINE_LOOPS_H_
#define ATTN_TESTS_BENCH_ATTENTION_CPU_MACHINE_LOOPS_H_

#include <cstddef>
#include <cstdint>

namespace attn {

// Runs `rounds` rounds and returns the floating-point operations done. Stateless; any thread.
using RegisterLoop = double (*)(int64_t rounds);

// The fastest of this machine; null where it has no such instructions.
RegisterLoop Fp32Loop();     // Fused multiply-adds (AVX-512, else AVX2); the portable path's else.
RegisterLoop Bf16DotLoop();  // AVX-512's bf16 dot products.
RegisterLoop AmxLoop();      // Products of bf16 tiles.

// Reads every byte, in the widest vectors of this machine, and returns a sum of them so that none
// can be left out. `data` is 64-byte aligned, `bytes` a multiple of kReadMultiple.
inline constexpr int64_t kReadMultiple = 256;
using ReadLoop = uint64_t (*)(const std::byte* data, int64_t bytes);
ReadLoop WidestReadLoop();

}  // namespace attn

#endif  // ATTN_TESTS_BENCH_ATTENTION_CPU_MACHINE_LOOPS_H_
