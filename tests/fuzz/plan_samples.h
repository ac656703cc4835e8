// Bytes read as a call under a plan, which may be broken in any way.
#ifndef ATTN_TESTS_FUZZ_PLAN_SAMPLES_H_
#define ATTN_TESTS_FUZZ_PLAN_SAMPLES_H_

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/core/block_plan.h"
#include "tests/support/random_tensors.h"

namespace attn {

// Numbers read from bytes; the lowest of each range once they are used up.
class ByteSource {
 public:
  explicit ByteSource(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  // In [low, high]: as many bytes as the range needs.
  int64_t Draw(int64_t low, int64_t high);
  bool Chance(int64_t one_in) { return Draw(1, one_in) == one_in; }

 private:
  uint64_t DrawBits(int bytes);

  std::span<const uint8_t> bytes_;
};

struct PlanSample {
  std::unique_ptr<OwnedCall>
      call;        // Small, with random tensors, one element of k or v perhaps NaN.
  BlockPlan plan;  // Whole, but for up to three damages.
  bool damaged = false;
};

PlanSample ReadPlanSample(ByteSource& source);

}  // namespace attn

#endif  // ATTN_TESTS_FUZZ_PLAN_SAMPLES_H_
