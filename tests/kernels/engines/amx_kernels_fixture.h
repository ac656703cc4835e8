// What the tests of the AMX table share.
#ifndef ATTN_TESTS_KERNELS_ENGINES_AMX_KERNELS_FIXTURE_H_
#define ATTN_TESTS_KERNELS_ENGINES_AMX_KERNELS_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <random>

#include "kernels/core/aligned_buffer.h"
#include "kernels/core/float16.h"
#include "kernels/engines/cpu/tile_kernels.h"
#include "tests/support/amx_emulator.h"

#if defined(__x86_64__)
namespace attn {

// An aligned array of exactly `count`, every byte 0xff: NaN as fp32 and as bf16.
template <typename Element>
class Array {
 public:
  explicit Array(int64_t count)
      : count_(count),
        buffer_(AlignedBuffer::Allocate(count * static_cast<int64_t>(sizeof(Element)))) {
    std::memset(buffer_.data(), 0xff, static_cast<size_t>(buffer_.size()));
  }
  Element* data() const { return reinterpret_cast<Element*>(buffer_.data()); }
  Element& operator[](int64_t i) const { return data()[i]; }
  int64_t size() const { return count_; }

 private:
  int64_t count_;
  AlignedBuffer buffer_;
};
using Floats = Array<float>;
using Bf16s = Array<uint16_t>;
inline constexpr uint16_t kNanBits = 0xffff;

// Normal data, rounded to bf16.
class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  uint16_t Bf16() { return FloatToBFloat16(normal_(engine_)); }
  float Float() { return normal_(engine_); }

 private:
  std::mt19937 engine_;
  std::normal_distribution<float> normal_;
};

// Place of element (step of the sum, column) of packed keys or values, `depth` steps in all.
inline int64_t PackedIndex(int64_t step, int64_t column, int64_t depth) {
  return column / kLaneCount * kLaneCount * depth + step / 2 * kLaneCount * 2 +
         column % kLaneCount * 2 + step % 2;
}

// Between enter and leave, natively or emulated.
class AmxKernels : public testing::Test {
 protected:
  void SetUp() override {
    const AmxSupport support = GetAmxSupport();
    if (support == AmxSupport::kNone) GTEST_SKIP() << "needs AMX, or AVX-512 with BF16";
    if (support == AmxSupport::kEmulated) emulator_.emplace();
    kernels_.enter();
  }
  void TearDown() override {
    if (!IsSkipped()) kernels_.leave();
  }

  std::optional<AmxEmulator> emulator_;
  const TileKernels& kernels_ = kAmxBf16Kernels;
};

}  // namespace attn
#endif

#endif  // ATTN_TESTS_KERNELS_ENGINES_AMX_KERNELS_FIXTURE_H_
