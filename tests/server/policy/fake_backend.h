// A backend that says what a test wants it to say and computes nothing.
#ifndef ATTN_TESTS_SERVER_POLICY_FAKE_BACKEND_H_
#define ATTN_TESTS_SERVER_POLICY_FAKE_BACKEND_H_

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "kernels/core/attention_problem.h"
#include "kernels/core/backend.h"
#include "kernels/core/registry.h"

namespace attn {

struct FakeBackend {
  std::string name;
  int cost_rank = 0;
  bool exact = true;
  std::span<const OptionSpec> options = {};
  absl::Status available = absl::OkStatus();
  int64_t max_head_dim = 256;             // Larger ones are not supported.
  absl::Status check = absl::OkStatus();  // Of valid options against any problem.
};

// Options of the fake sage: `pv` ("fp16" or "fp8"), `block_q` (int) and the others that its aliases
// fix; of the fake flash: `block_q`; of the fake sparse backends: `ratio`, `block_q`.
std::span<const OptionSpec> SageOptions();
std::span<const OptionSpec> FlashOptions();
std::span<const OptionSpec> SparseOptions();

Registry MakeRegistry(std::vector<FakeBackend> backends);

// flash (rank 1) and eager (rank 9), exact; sage (2) and psa (3), approximate.
Registry StandardRegistry();

// Two heads of size `head_dim` over eight tokens.
AttentionProblem MakeProblem(int64_t head_dim = 64);

}  // namespace attn

#endif  // ATTN_TESTS_SERVER_POLICY_FAKE_BACKEND_H_
