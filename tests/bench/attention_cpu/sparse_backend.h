// The plan engine on a block-sparse plan that skips most of a call, behind a backend's interface,
// so that it runs where `flash` does.
#ifndef ATTN_TESTS_BENCH_ATTENTION_CPU_SPARSE_BACKEND_H_
#define ATTN_TESTS_BENCH_ATTENTION_CPU_SPARSE_BACKEND_H_

#include <memory>

#include "kernels/core/backend.h"
#include "kernels/engines/cpu/cpu_device.h"

namespace attn {

// Lists `kept` of the 64 x 64 blocks of each call, between 0 and 1, drawn anew for every row of
// blocks from a fixed seed and shared by batch and heads.
std::unique_ptr<Backend> CreateSparseBackend(std::shared_ptr<CpuDevice> device, double kept);

}  // namespace attn

#endif  // ATTN_TESTS_BENCH_ATTENTION_CPU_SPARSE_BACKEND_H_
