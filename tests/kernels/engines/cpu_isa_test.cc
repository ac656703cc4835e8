#include "kernels/engines/cpu/cpu_isa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/engines/cpu/cpu_features.h"

namespace attn {
namespace {

using testing::HasSubstr;

std::string NameOf(CpuIsa isa) { return std::string(Name(isa)); }

std::vector<CpuIsa> RunBy(const CpuFeatures& cpu) {
  std::vector<CpuIsa> isas;
  for (const CpuIsa isa : kAllCpuIsas) {
    if (Runs(cpu, isa)) isas.push_back(isa);
  }
  return isas;
}

TEST(CpuIsa, NamesRoundTripWhereTheMachineRunsThem) {
  for (const CpuIsa isa : SupportedCpuIsas()) {
    const absl::StatusOr<CpuIsa> parsed = ParseCpuIsa(Name(isa));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(*parsed, isa);
  }
}

TEST(CpuIsa, NamesAreDistinct) {
  std::vector<std::string> names;
  for (const CpuIsa isa : kAllCpuIsas) names.push_back(NameOf(isa));
  EXPECT_THAT(names, testing::ElementsAre("portable", "avx2", "avx512", "avx512_bf16", "amx_bf16"));
}

TEST(CpuIsa, ASetThatTheMachineLacksIsRefusedWithWhatItHas) {
  const std::vector<CpuIsa>& supported = SupportedCpuIsas();
  for (const CpuIsa isa : kAllCpuIsas) {
    if (std::find(supported.begin(), supported.end(), isa) != supported.end()) continue;
    const absl::Status status = ParseCpuIsa(Name(isa)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(NameOf(isa)));
    for (const CpuIsa other : supported) {
      EXPECT_THAT(std::string(status.message()), HasSubstr(NameOf(other)));
    }
  }
}

TEST(CpuIsa, AnUnknownNameIsRefusedWithAllNames) {
  for (const char* name : {"avx", "AVX2", "", " avx2", "amx"}) {
    const absl::Status status = ParseCpuIsa(name).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("auto, portable, avx2, avx512, avx512_bf16, amx_bf16"));
  }
}

TEST(CpuIsa, AutoIsTheFastest) { EXPECT_EQ(ParseCpuIsa("auto").value(), FastestCpuIsa()); }

TEST(CpuIsa, TheSupportedAscendFromPortableAndHoldTheFastest) {
  const std::vector<CpuIsa>& supported = SupportedCpuIsas();
  ASSERT_FALSE(supported.empty());
  EXPECT_EQ(supported.front(), CpuIsa::kPortable);
  EXPECT_TRUE(std::is_sorted(supported.begin(), supported.end()));
  EXPECT_EQ(std::adjacent_find(supported.begin(), supported.end()), supported.end());
  EXPECT_THAT(supported, testing::Contains(FastestCpuIsa()));
}

#if defined(__x86_64__)
// Two readings of one machine. The compiler's knows neither permissions nor, in GCC 12, AMX, and
// Clang's no F16C, which every processor with AVX2 has.
TEST(CpuIsa, ThisMachineIsReadAsTheCompilersLibraryReadsIt) {
  const CpuFeatures cpu = ReadCpuFeatures();
  EXPECT_EQ(Runs(cpu, CpuIsa::kAvx2),
            __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
  EXPECT_EQ(Runs(cpu, CpuIsa::kAvx512),
            __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"));
  EXPECT_EQ(Runs(cpu, CpuIsa::kAvx512Bf16),
            Runs(cpu, CpuIsa::kAvx512) && __builtin_cpu_supports("avx512bf16"));
  EXPECT_EQ(cpu.amd, __builtin_cpu_is("amd") != 0);
}
#endif

// Values as these processors and systems report them.
constexpr uint64_t kXcr0Sse = 0x3;
constexpr uint64_t kXcr0Avx = 0x7;
constexpr uint64_t kXcr0Avx512 = 0x2e7;
constexpr uint64_t kXcr0Tiles = 0x602e7;

constexpr CpuFeatures kNehalem = {.leaf_1_ecx = 0x009ae3bd};
constexpr CpuFeatures kHaswell = {
    .leaf_1_ecx = 0x7ffafbbf, .leaf_7_ebx = 0x000027ab, .xcr0 = kXcr0Avx};
constexpr CpuFeatures kSkylakeX = {.leaf_1_ecx = 0x7ffefbbf,
                                   .leaf_7_ebx = 0xd39ffffb,
                                   .leaf_7_edx = 0x9c002400,
                                   .xcr0 = kXcr0Avx512};
constexpr CpuFeatures kZen4 = {.amd = true,
                               .leaf_1_ecx = 0x7efa320b,
                               .leaf_7_ebx = 0xf1bf97a9,
                               .leaf_7_edx = 0x10000010,
                               .leaf_7_1_eax = 0x00000020,
                               .xcr0 = kXcr0Avx512};
constexpr CpuFeatures kZen5 = {.amd = true,
                               .leaf_1_ecx = 0x7efa320b,
                               .leaf_7_ebx = 0xf1bf97a9,
                               .leaf_7_edx = 0x10000110,
                               .leaf_7_1_eax = 0x00000030,
                               .xcr0 = kXcr0Avx512};
constexpr CpuFeatures kSapphireRapids = {.leaf_1_ecx = 0x7ffefbff,
                                         .leaf_7_ebx = 0xf3bfbfff,
                                         .leaf_7_edx = 0xffdd4432,
                                         .leaf_7_1_eax = 0x00001c30,
                                         .xcr0 = kXcr0Tiles,
                                         .tile_permission = true};

// `cpu` with one field changed.
template <typename Value>
constexpr CpuFeatures With(CpuFeatures cpu, Value CpuFeatures::*field, Value value) {
  cpu.*field = value;
  return cpu;
}

struct Machine {
  const char* name;
  CpuFeatures cpu;
  CpuIsa highest;
  CpuIsa fastest;
};

const Machine kMachines[] = {
    {"PlainV2", kNehalem, CpuIsa::kPortable, CpuIsa::kPortable},
    {"Haswell", kHaswell, CpuIsa::kAvx2, CpuIsa::kAvx2},
    {"HaswellWhoseSystemSavesNoYmm", With(kHaswell, &CpuFeatures::xcr0, kXcr0Sse),
     CpuIsa::kPortable, CpuIsa::kPortable},
    {"HaswellWhoseSystemUsesNoXsave", With(kHaswell, &CpuFeatures::xcr0, uint64_t{0}),
     CpuIsa::kPortable, CpuIsa::kPortable},
    {"HaswellWithoutFma", With(kHaswell, &CpuFeatures::leaf_1_ecx, 0x7ffaebbfU), CpuIsa::kPortable,
     CpuIsa::kPortable},
    {"HaswellWithoutF16c", With(kHaswell, &CpuFeatures::leaf_1_ecx, 0x5ffafbbfU), CpuIsa::kPortable,
     CpuIsa::kPortable},
    {"SkylakeX", kSkylakeX, CpuIsa::kAvx512, CpuIsa::kAvx512},
    {"SkylakeXWhoseSystemSavesNoZmm", With(kSkylakeX, &CpuFeatures::xcr0, kXcr0Avx), CpuIsa::kAvx2,
     CpuIsa::kAvx2},
    // AVX-512 F and CD alone, as in Knights Landing.
    {"Avx512WithoutBwDqVl", With(kSkylakeX, &CpuFeatures::leaf_7_ebx, 0x1c0d23abU), CpuIsa::kAvx2,
     CpuIsa::kAvx2},
    {"Zen4", kZen4, CpuIsa::kAvx512Bf16, CpuIsa::kAvx512Bf16},
    {"Zen5", kZen5, CpuIsa::kAvx512Bf16, CpuIsa::kAvx512Bf16},
    {"SapphireRapids", kSapphireRapids, CpuIsa::kAmxBf16, CpuIsa::kAmxBf16},
    {"SapphireRapidsWhoseSystemSavesNoTiles",
     With(kSapphireRapids, &CpuFeatures::xcr0, kXcr0Avx512), CpuIsa::kAvx512Bf16, CpuIsa::kAvx512},
    {"SapphireRapidsWhoseTileDataIsHidden",
     With(kSapphireRapids, &CpuFeatures::xcr0, kXcr0Avx512 | Bit(17)), CpuIsa::kAvx512Bf16,
     CpuIsa::kAvx512},
    {"SapphireRapidsWithoutPermission", With(kSapphireRapids, &CpuFeatures::tile_permission, false),
     CpuIsa::kAvx512Bf16, CpuIsa::kAvx512},
    {"SapphireRapidsWhoseLeaf7HidesAmx",
     With(kSapphireRapids, &CpuFeatures::leaf_7_edx, 0xfc9d4432U), CpuIsa::kAvx512Bf16,
     CpuIsa::kAvx512},
    {"SapphireRapidsWithTilesOfInt8Alone",
     With(kSapphireRapids, &CpuFeatures::leaf_7_edx, 0xff9d4432U), CpuIsa::kAvx512Bf16,
     CpuIsa::kAvx512},
    {"SapphireRapidsWhoseHypervisorHidesSubleaf1",
     With(kSapphireRapids, &CpuFeatures::leaf_7_1_eax, 0U), CpuIsa::kAvx512, CpuIsa::kAvx512},
    {"SapphireRapidsWhoseSystemSavesNoZmm",
     With(kSapphireRapids, &CpuFeatures::xcr0, kXcr0Avx | Bit(17) | Bit(18)), CpuIsa::kAvx2,
     CpuIsa::kAvx2},
};

class MachineTest : public testing::TestWithParam<Machine> {};

INSTANTIATE_TEST_SUITE_P(Machines, MachineTest, testing::ValuesIn(kMachines),
                         [](const auto& tested) { return tested.param.name; });

TEST_P(MachineTest, RunsEverySetUpToItsHighest) {
  std::vector<CpuIsa> expected;
  for (const CpuIsa isa : kAllCpuIsas) {
    if (isa <= GetParam().highest) expected.push_back(isa);
  }
  EXPECT_EQ(RunBy(GetParam().cpu), expected);
}

TEST_P(MachineTest, UsesItsFastestUnasked) {
  EXPECT_EQ(FastestOf(GetParam().cpu), GetParam().fastest);
}

}  // namespace
}  // namespace attn
