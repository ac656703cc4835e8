// Fuzzes plans: one that ValidatePlan takes runs on every instruction set and agrees with the
// oracle, one that it refuses never runs. Bytes are read by plan_samples.h.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/fuzz/plan_samples.h"
#include "tests/kernels/engines/conformance.h"
#include "tests/kernels/engines/run_call.h"
#include "tests/support/amx_emulator.h"
#include "tests/support/oracle.h"

namespace attn {
namespace {

// An emulated instruction takes microseconds.
constexpr double kMaxEmulatedElements = 2000;

// "" or what is wrong.
std::string FindFault(PlanSample& sample) {
  OwnedCall& call = *sample.call;
  const AttentionProblem& problem = call.call.problem;
  const absl::Status valid = ValidatePlan(sample.plan, problem);
  if (!valid.ok()) {
    if (!sample.damaged) return absl::StrCat("a whole plan is refused: ", valid.ToString());
    if (valid.code() != absl::StatusCode::kInvalidArgument) return valid.ToString();
    const absl::Status run = RunPlan(call.call, sample.plan, CpuIsa::kPortable).status();
    return run == valid ? "" : absl::StrCat("the engine says ", run.ToString());
  }
  const OracleResult oracle = PlanOracle(call.call, sample.plan);
  const bool emulated = GetAmxSupport() == AmxSupport::kEmulated;
  for (const CpuIsa isa : TestedIsas(problem.dtype)) {
    if (isa == CpuIsa::kAmxBf16 && emulated && oracle.elements > kMaxEmulatedElements) continue;
    call.PoisonOutputs();
    const absl::StatusOr<RunStats> stats = RunPlan(call.call, sample.plan, isa);
    if (!stats.ok()) return stats.status().ToString();
    const std::string fault = Disagreement(call, oracle, RoundoffOn(isa, problem.dtype));
    if (!fault.empty()) return absl::StrCat(Name(isa), ": ", fault);
  }
  return "";
}

}  // namespace
}  // namespace attn

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  attn::ByteSource source(std::span(data, size));
  attn::PlanSample sample = attn::ReadPlanSample(source);
  const std::string fault = attn::FindFault(sample);
  if (!fault.empty()) {
    std::fprintf(stderr, "%s\n", fault.c_str());
    std::abort();
  }
  return 0;
}
