// The instructions are written out in assembly, so that what the emulator decodes does not depend
// on what the compiler makes of the kernels. Where the processor has AMX it does the same itself.
#include "tests/support/amx_emulator.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "kernels/core/float16.h"

#if defined(__x86_64__)
#include <signal.h>
#include <unistd.h>

namespace attn {
namespace {

constexpr int kFullRows = 16;
constexpr int kFullRowBytes = 64;

// LDTILECFG's operand, and STTILECFG's.
struct alignas(64) Config {
  explicit Config(int rows = kFullRows, int row_bytes = kFullRowBytes) {
    bytes[0] = 1;
    for (size_t tile = 0; tile < 8; ++tile) {
      bytes[16 + 2 * tile] = static_cast<uint8_t>(row_bytes);
      bytes[48 + tile] = static_cast<uint8_t>(rows);
    }
  }
  std::array<uint8_t, 64> bytes = {};
};
const Config kFull;  // Reached relative to the instruction.

void Configure(const Config& config) { asm volatile("ldtilecfg %0" ::"m"(config)); }
void Release() { asm volatile("tilerelease"); }

// 16 rows of 64 bytes or less, one after another.
using Tile = std::array<uint8_t, kFullRows * kFullRowBytes>;

Tile RandomTile(uint32_t seed) {
  Tile tile;
  std::mt19937 random(seed);
  for (uint8_t& byte : tile) byte = static_cast<uint8_t>(random());
  return tile;
}

Tile StoreTile2() {
  Tile tile = {};
  asm volatile("tilestored %%tmm2, (%0,%1,1)" ::"r"(tile.data()), "r"(int64_t{kFullRowBytes})
               : "memory");
  return tile;
}

class AmxEmulatorTest : public testing::Test {
 protected:
  void SetUp() override {
    const AmxSupport support = GetAmxSupport();
    if (support == AmxSupport::kNone) GTEST_SKIP() << "needs AMX, or AVX-512 with BF16";
    if (support == AmxSupport::kEmulated) emulator_.emplace();
    asm volatile("ldtilecfg %0" ::"m"(kFull));
  }
  void TearDown() override {
    if (!IsSkipped()) Release();
  }

  std::optional<AmxEmulator> emulator_;
};

TEST_F(AmxEmulatorTest, ATileIsLoadedByEveryFormOfAddress) {
  const Tile tile = RandomTile(1);
  const auto from = reinterpret_cast<int64_t>(tile.data());
  const int64_t stride = kFullRowBytes;
  const auto expect_tile = [&tile](const char* form) {
    EXPECT_EQ(StoreTile2(), tile) << form;
    asm volatile("tilezero %tmm2");
    EXPECT_EQ(StoreTile2(), Tile{}) << form;
  };
  asm volatile("tileloadd (%0,%1,1), %%tmm2" ::"a"(from), "d"(stride) : "memory");
  expect_tile("base and index");
  asm volatile("tileloaddt1 (%0,%1,1), %%tmm2" ::"S"(from), "D"(stride) : "memory");
  expect_tile("with a hint");
  asm volatile("tileloadd (%0,%1,4), %%tmm2" ::"b"(from), "c"(stride / 4) : "memory");
  expect_tile("scaled index");
  asm volatile("tileloadd 16(%0,%1,1), %%tmm2" ::"r"(from - 16), "r"(stride) : "memory");
  expect_tile("short displacement");
  asm volatile("tileloadd -16(%0,%1,1), %%tmm2" ::"r"(from + 16), "r"(stride) : "memory");
  expect_tile("short displacement downwards");
  asm volatile("tileloadd 4096(%0,%1,1), %%tmm2" ::"r"(from - 4096), "r"(stride) : "memory");
  expect_tile("long displacement");
  asm volatile("mov %0, %%r13\n\tmov %1, %%r12\n\ttileloadd (%%r13,%%r12,2), %%tmm2" ::"r"(from),
               "r"(stride / 2)
               : "r12", "r13", "memory");
  expect_tile("upper registers");
  asm volatile(
      "mov %0, %%r12\n\tmov %1, %%r9\n\ttileloadd -1(%%r12,%%r9,8), %%tmm2" ::"r"(from + 1),
      "r"(stride / 8)
      : "r9", "r12", "memory");
  expect_tile("upper registers and displacement");
  asm volatile("tileloadd (%0,%1,1), %%tmm2" ::"r"(from + (kFullRows - 1) * stride), "r"(-stride)
               : "memory");
  Tile reversed;
  for (size_t row = 0; row < kFullRows; ++row) {
    std::memcpy(&reversed[row * kFullRowBytes], &tile[(kFullRows - 1 - row) * kFullRowBytes],
                kFullRowBytes);
  }
  EXPECT_EQ(StoreTile2(), reversed) << "negative stride";
}

TEST_F(AmxEmulatorTest, ATileWithoutIndexRepeatsItsFirstRow) {
  const Tile tile = RandomTile(2);
  asm volatile("tileloadd (%0), %%tmm2" ::"r"(tile.data()) : "memory");
  const Tile stored = StoreTile2();
  for (size_t row = 0; row < kFullRows; ++row) {
    EXPECT_EQ(std::memcmp(&stored[row * kFullRowBytes], tile.data(), kFullRowBytes), 0) << row;
  }
}

TEST_F(AmxEmulatorTest, ConfigurationIsStoredAsLoadedAndGoneWhenReleased) {
  const Config config(3, 12);
  Config stored(1, 4);
  Configure(config);
  asm volatile("sttilecfg %0" : "=m"(stored));
  EXPECT_EQ(stored.bytes, config.bytes);
  Release();
  asm volatile("sttilecfg %0" : "=m"(stored));
  EXPECT_EQ(stored.bytes, (std::array<uint8_t, 64>{}));
}

TEST_F(AmxEmulatorTest, ATileTouchesOnlyItsRowsAndBytes) {
  const Tile tile = RandomTile(3);
  Configure(Config(3, 12));
  asm volatile("tileloadd (%0,%1,1), %%tmm2" ::"r"(tile.data()), "r"(int64_t{kFullRowBytes})
               : "memory");
  Tile expected = {};
  for (size_t row = 0; row < 3; ++row) {
    std::memcpy(&expected[row * kFullRowBytes], &tile[row * kFullRowBytes], 12);
  }
  EXPECT_EQ(StoreTile2(), expected);
}

// Tiles 1 and 3 and the sums in tile 2.
std::vector<float> AddProducts(const std::vector<uint16_t>& left,
                               const std::vector<uint16_t>& right, const std::vector<float>& sums) {
  asm volatile("tileloadd (%0,%1,1), %%tmm1" ::"r"(left.data()), "r"(int64_t{kFullRowBytes})
               : "memory");
  asm volatile("tileloadd (%0,%1,1), %%tmm3" ::"r"(right.data()), "r"(int64_t{kFullRowBytes})
               : "memory");
  asm volatile("tileloadd (%0,%1,1), %%tmm2" ::"r"(sums.data()), "r"(int64_t{kFullRowBytes})
               : "memory");
  asm volatile("tdpbf16ps %tmm3, %tmm1, %tmm2");
  std::vector<float> results(kFullRows * 16);
  const Tile stored = StoreTile2();
  std::memcpy(results.data(), stored.data(), stored.size());
  return results;
}

TEST_F(AmxEmulatorTest, ProductsAreSummedOverPairs) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  std::vector<uint16_t> left(kFullRows * 32);
  std::vector<uint16_t> right(kFullRows * 32);
  std::vector<float> sums(kFullRows * 16);
  for (uint16_t& element : left) element = FloatToBFloat16(normal(random));
  for (uint16_t& element : right) element = FloatToBFloat16(normal(random));
  for (float& sum : sums) sum = normal(random);
  const std::vector<float> results = AddProducts(left, right, sums);
  for (size_t m = 0; m < 16; ++m) {
    for (size_t n = 0; n < 16; ++n) {
      double expected = sums[m * 16 + n];
      double size = std::abs(expected);
      for (size_t k = 0; k < 32; ++k) {
        const double product = double{BFloat16ToFloat(left[m * 32 + k])} *
                               BFloat16ToFloat(right[k / 2 * 32 + n * 2 + k % 2]);
        expected += product;
        size += std::abs(product);
      }
      ASSERT_NEAR(results[m * 16 + n], expected, 18 * 0x1p-24 * size) << m << " " << n;
    }
  }
}

// One pair in an else empty product.
struct PairCase {
  const char* name;
  float left[2];
  float right[2];
  float sum;
  float expected;
};

TEST_F(AmxEmulatorTest, SpecialValues) {
  constexpr float kSubnormal = 0x1p-130F;  // A bf16 as well.
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const PairCase cases[] = {
      {"both of a pair", {2, 3}, {5, 7}, 1, 32},
      {"subnormal factors are zero", {kSubnormal, 0}, {0x1p100F, 0}, 0, 0},
      {"subnormal sums are zero", {0, 0}, {0, 0}, kSubnormal, 0},
      {"subnormal results become zero", {0x1p-70F, 0}, {0x1p-70F, 0}, 0, 0},
      {"rounds to even, downwards", {1, 0}, {1, 0}, 0x1p24F, 0x1p24F},
      {"rounds to even, upwards", {1, 0}, {1, 0}, 0x1.000002p24F, 0x1.000004p24F},
      {"first and second are summed apart", {0x1p24F, 1}, {1, 1}, -0x1p24F, 0},
      {"infinity", {kInfinity, 0}, {1, 0}, 0, kInfinity},
      {"infinity times nothing", {kInfinity, 0}, {0, 0}, 0, kNan},
      {"NaN", {1, kNan}, {1, 1}, 0, kNan},
  };
  for (const PairCase& tested : cases) {
    std::vector<uint16_t> left(kFullRows * 32);
    std::vector<uint16_t> right(kFullRows * 32);
    std::vector<float> sums(kFullRows * 16);
    const size_t row = 5;
    const size_t column = 9;
    const size_t pair = 11;
    for (size_t i = 0; i < 2; ++i) {
      left[row * 32 + pair * 2 + i] = FloatToBFloat16(tested.left[i]);
      right[pair * 32 + column * 2 + i] = FloatToBFloat16(tested.right[i]);
    }
    sums[row * 16 + column] = tested.sum;
    const float result = AddProducts(left, right, sums)[row * 16 + column];
    if (std::isnan(tested.expected)) {
      EXPECT_TRUE(std::isnan(result)) << tested.name;
    } else {
      EXPECT_EQ(result, tested.expected) << tested.name;
    }
  }
}

TEST_F(AmxEmulatorTest, EveryThreadHasItsOwnTiles) {
  const Tile tile = RandomTile(5);
  asm volatile("tileloadd (%0,%1,1), %%tmm2" ::"r"(tile.data()), "r"(int64_t{kFullRowBytes})
               : "memory");
  std::thread([] {
    Configure(kFull);
    EXPECT_EQ(StoreTile2(), Tile{});
    Release();
  }).join();
  EXPECT_EQ(StoreTile2(), tile);
}

TEST_F(AmxEmulatorTest, TheVectorRegistersOfTheCallerStay) {
  // The compiler, which targets no AVX-512 here, knows nothing of zmm17.
  const std::vector<double> before = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<double> after(8);
  asm volatile(
      "vmovupd (%0), %%zmm17\n\ttilezero %%tmm2\n\ttdpbf16ps %%tmm3, %%tmm1, %%tmm2\n\t"
      "vmovupd %%zmm17, (%1)" ::"r"(before.data()),
      "r"(after.data())
      : "memory");
  EXPECT_EQ(after, before);
}

// What follows forks, and asks about what a processor with AMX would answer in its own way.
class AmxEmulatorDeathTest : public testing::Test {
 protected:
  void SetUp() override {
    if (GetAmxSupport() != AmxSupport::kEmulated) GTEST_SKIP() << "nothing is emulated here";
  }
};

TEST_F(AmxEmulatorDeathTest, WhatAProcessorRefusesAborts) {
  const AmxEmulator emulator;
  EXPECT_DEATH(asm volatile("tilezero %tmm0"), "no tiles are configured");
  EXPECT_DEATH(
      {
        Configure(kFull);
        // tdpbf16ps %tmm1, %tmm1, %tmm2, which assemblers refuse.
        asm volatile(".byte 0xc4, 0xe2, 0x72, 0x5c, 0xd1");
      },
      "a tile twice");
  EXPECT_DEATH(
      {
        Configure(Config(8, 64));
        asm volatile("tdpbf16ps %tmm0, %tmm1, %tmm2");
      },
      "shapes of tiles that do not fit");
  EXPECT_DEATH(Configure(Config(17, 64)), "more than 16 rows");
  EXPECT_DEATH(Configure(Config(0, 64)), "bytes without rows");
}

TEST_F(AmxEmulatorDeathTest, OtherIllegalInstructionsGoToTheHandlerBefore) {
  EXPECT_EXIT(
      {
        const AmxEmulator emulator;
        asm volatile("ud2");
      },
      testing::KilledBySignal(SIGILL), "");
  EXPECT_EXIT(
      {
        signal(SIGILL, [](int) { _exit(7); });
        const AmxEmulator emulator;
        asm volatile("ud2");
      },
      testing::ExitedWithCode(7), "");
}

TEST_F(AmxEmulatorDeathTest, TheLastEmulatorTakesItsHandlerAway) {
  EXPECT_EXIT(
      {
        signal(SIGILL, [](int) { _exit(7); });
        std::optional<AmxEmulator> outer(std::in_place);
        { const AmxEmulator inner; }
        Release();
        outer.reset();
        Release();
      },
      testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace attn
#endif
