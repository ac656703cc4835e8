#include "kernels/engines/cpu/cpu_isa.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/core/nearest_name.h"
#include "kernels/engines/cpu/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace attn {
namespace {

#if defined(__x86_64__)
bool RequestTilePermission() {
#if defined(__linux__)
  // Linux 5.16 and later; older ones do not save tiles, and XCR0 says so. Holds for all threads.
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM of asm/prctl.h
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

// Registers that the system saves. Leaf 1 must say that it uses XSAVE.
uint64_t ReadXcr0() {
  uint32_t low = 0;
  uint32_t high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}
#endif

std::string NamesOf(const std::vector<CpuIsa>& isas) {
  return absl::StrJoin(isas, ", ",
                       [](std::string* out, CpuIsa isa) { absl::StrAppend(out, Name(isa)); });
}

// Read once: the permission is asked for then.
const CpuFeatures& ThisCpu() {
  static const CpuFeatures kCpu = ReadCpuFeatures();
  return kCpu;
}

}  // namespace

CpuFeatures ReadCpuFeatures() {
  CpuFeatures cpu;
#if defined(__x86_64__)
  uint32_t eax = 0;
  uint32_t ebx = 0;
  uint32_t ecx = 0;
  uint32_t edx = 0;
  if (__get_cpuid(0, &eax, &ebx, &ecx, &edx) == 0) return cpu;
  const uint32_t vendor[] = {ebx, edx, ecx};
  cpu.amd = std::memcmp(vendor, "AuthenticAMD", sizeof vendor) == 0;
  if (__get_cpuid(1, &eax, &ebx, &cpu.leaf_1_ecx, &edx) == 0) return cpu;
  constexpr uint64_t kXsaveInUse = Bit(27);
  if (HasBits(cpu.leaf_1_ecx, kXsaveInUse)) cpu.xcr0 = ReadXcr0();
  uint32_t last_subleaf = 0;
  if (__get_cpuid_count(7, 0, &last_subleaf, &cpu.leaf_7_ebx, &ecx, &cpu.leaf_7_edx) == 0) {
    return cpu;
  }
  if (last_subleaf >= 1) __get_cpuid_count(7, 1, &cpu.leaf_7_1_eax, &ebx, &ecx, &edx);
  if (HasTiles(cpu)) cpu.tile_permission = RequestTilePermission();
#endif
  return cpu;
}

absl::string_view Name(CpuIsa isa) {
  switch (isa) {
    case CpuIsa::kPortable:
      return "portable";
    case CpuIsa::kAvx2:
      return "avx2";
    case CpuIsa::kAvx512:
      return "avx512";
    case CpuIsa::kAvx512Bf16:
      return "avx512_bf16";
    case CpuIsa::kAmxBf16:
      return "amx_bf16";
  }
  return "unknown";
}

const std::vector<CpuIsa>& SupportedCpuIsas() {
  static const std::vector<CpuIsa> kSupported = [] {
    std::vector<CpuIsa> isas;
    for (const CpuIsa isa : kAllCpuIsas) {
      if (Runs(ThisCpu(), isa)) isas.push_back(isa);
    }
    return isas;
  }();
  return kSupported;
}

CpuIsa FastestCpuIsa() { return FastestOf(ThisCpu()); }

absl::StatusOr<CpuIsa> ParseCpuIsa(absl::string_view name) {
  if (name == "auto") return FastestCpuIsa();
  const std::vector<CpuIsa>& supported = SupportedCpuIsas();
  std::vector<std::string> known = {"auto"};
  for (const CpuIsa isa : kAllCpuIsas) {
    if (name != Name(isa)) {
      known.emplace_back(Name(isa));
      continue;
    }
    if (std::find(supported.begin(), supported.end(), isa) != supported.end()) return isa;
    return absl::FailedPreconditionError(absl::StrCat(
        "this machine does not run CPU instruction set ", name, ", it runs: ", NamesOf(supported)));
  }
  return absl::InvalidArgumentError(UnknownNameMessage("CPU instruction set", name, known));
}

}  // namespace attn
