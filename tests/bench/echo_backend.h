// A backend that computes nothing: out = q. It exists in the benchmark alone, to measure the
// transport apart from attention.
#ifndef ATTN_TESTS_BENCH_ECHO_BACKEND_H_
#define ATTN_TESTS_BENCH_ECHO_BACKEND_H_

#include <memory>

#include "kernels/core/backend.h"

namespace attn {

// Named `flash`, since the policy knows only canonical names. Requires Dv = D.
std::unique_ptr<Backend> CreateEchoBackend();

}  // namespace attn

#endif  // ATTN_TESTS_BENCH_ECHO_BACKEND_H_
