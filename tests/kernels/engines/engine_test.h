// The fixture of tests that each exact engine must pass, on each instruction set.
#ifndef ATTN_TESTS_KERNELS_ENGINES_ENGINE_TEST_H_
#define ATTN_TESTS_KERNELS_ENGINES_ENGINE_TEST_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "kernels/core/registry.h"
#include "tests/kernels/engines/conformance.h"
#include "tests/kernels/engines/nan_bits.h"
#include "tests/kernels/engines/run_call.h"
#include "tests/support/random_tensors.h"
#include "tests/support/run_inline.h"

namespace attn {

inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

class EngineTest : public testing::TestWithParam<TestedEngine> {
 protected:
  // Inputs of the engine's dtype; outputs of fp32, which hide nothing, where not said otherwise.
  static CallShape Shape(CallShape shape) {
    shape.dtype = GetParam().dtype;
    return shape;
  }

  void Run(OwnedCall& call) const {
    const absl::StatusOr<RunResult> result = RunInline(backend(), call.call);
    ASSERT_TRUE(result.ok()) << result.status();
  }

  // One of the dtype's NaNs, by turns.
  static uint32_t NanBits(int64_t turn) {
    const std::span<const uint32_t> nans = NansOf(GetParam().dtype);
    return nans[static_cast<size_t>(turn) % nans.size()];
  }

  const Backend& backend() const { return *registry_.Find(GetParam().backend); }
  Roundoff roundoff() const { return RoundoffOf(GetParam()); }

  // Between two results for the same thing: rounding of sums, and of weights on both sides.
  double rel_l2() const { return 1e-6 + 2 * roundoff().weights; }

  // Likewise, of LSE: where weights are rounded, exponentials need not be good to the last bit.
  double lse_abs() const { return 2e-6 + 0x1p-10 * roundoff().weights; }

 private:
  IsaInUse isa_{GetParam().isa};
  Registry registry_ = BackendsOn(GetParam().isa);
};

inline std::string EngineName(const testing::TestParamInfo<TestedEngine>& tested) {
  return tested.param.name;
}

inline void SetRow(OwnedTensor& tensor, int64_t b, int64_t h, int64_t s, double value) {
  for (int64_t d = 0; d < tensor.view().dim(3); ++d) tensor.Set(b, h, s, d, value);
}

// As stored.
inline void SetBits(OwnedTensor& tensor, int64_t b, int64_t h, int64_t s, int64_t d,
                    uint32_t bits) {
  const MutableTensorView view = tensor.view();
  const int64_t element =
      b * view.stride(0) + h * view.stride(1) + s * view.stride(2) + d * view.stride(3);
  const int64_t bytes = BitWidth(view.dtype) / 8;
  std::memcpy(view.data + element * bytes, &bits, static_cast<size_t>(bytes));
}

inline void SetRowBits(OwnedTensor& tensor, int64_t b, int64_t h, int64_t s, uint32_t bits) {
  for (int64_t d = 0; d < tensor.view().dim(3); ++d) SetBits(tensor, b, h, s, d, bits);
}

inline std::vector<double> OutRow(const OwnedCall& call, int64_t b, int64_t h, int64_t s) {
  std::vector<double> row;
  for (int64_t d = 0; d < call.out.view().dim(3); ++d) row.push_back(call.out.At(b, h, s, d));
  return row;
}

// Tokens [first, first + count) of all heads become the first of `to`.
inline void CopyTokens(const OwnedTensor& from, int64_t first, int64_t count, OwnedTensor& to) {
  for (int64_t b = 0; b < to.view().dim(0); ++b) {
    for (int64_t h = 0; h < to.view().dim(1); ++h) {
      for (int64_t s = 0; s < count; ++s) {
        for (int64_t d = 0; d < to.view().dim(3); ++d) {
          to.Set(b, h, s, d, from.At(b, h, first + s, d));
        }
      }
    }
  }
}

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_ENGINES_ENGINE_TEST_H_
