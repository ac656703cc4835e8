// What this machine can do at best, measured: the roofline that attention is held against.
#ifndef ATTN_TESTS_BENCH_ATTENTION_CPU_CEILINGS_H_
#define ATTN_TESTS_BENCH_ATTENTION_CPU_CEILINGS_H_

namespace attn {

// Each the best of several short measurements: a ceiling is what the machine reaches when nothing
// else disturbs it. 0 = the machine has no such instructions.
struct Ceilings {
  double fp32_gflops = 0;      // Fused multiply-adds in registers.
  double bf16_dot_gflops = 0;  // AVX-512 BF16 dot products in registers.
  double amx_gflops = 0;       // AMX products of bf16 tiles.
  double read_gb_per_s = 0;    // Every thread reads its part of 1 GiB from end to end.
};

// On `threads` threads at once, which are the caller's to have a core each. Takes some seconds.
Ceilings MeasureCeilings(int threads);

}  // namespace attn

#endif  // ATTN_TESTS_BENCH_ATTENTION_CPU_CEILINGS_H_
