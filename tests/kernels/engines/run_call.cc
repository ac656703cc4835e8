#include "tests/kernels/engines/run_call.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/builtin_backends.h"
#include "kernels/core/scratch.h"
#include "kernels/core/status_macros.h"
#include "kernels/engines/cpu/cpu_device.h"
#include "kernels/engines/cpu/plan_engine.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {
namespace {

// `execution` is an Execution or a PlanEngine.
template <typename Tiles>
absl::Status RunPhase(Tiles& execution, int phase, int threads, uint64_t seed) {
  std::vector<int64_t> order(static_cast<size_t>(execution.phase(phase).tiles));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937_64(seed));
  std::atomic<size_t> next = 0;
  std::vector<absl::Status> statuses(static_cast<size_t>(threads));
  std::vector<std::thread> workers;
  workers.reserve(statuses.size());
  for (absl::Status& status : statuses) {
    workers.emplace_back([&] {
      Scratch scratch;
      for (size_t i = next++; i < order.size() && status.ok(); i = next++) {
        scratch.Reset();
        status = execution.RunTile(phase, order[i], scratch);
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (const absl::Status& status : statuses) ATTN_RETURN_IF_ERROR(status);
  return absl::OkStatus();
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const TestedEngine& engine) {
  return out << engine.name;
}

std::vector<TestedEngine> TestedFlash(const std::vector<DType>& dtypes) {
  std::vector<TestedEngine> engines;
  for (const DType dtype : dtypes) {
    for (const CpuIsa isa : TestedIsas(dtype)) {
      engines.push_back({absl::StrCat("flash_", Name(isa), "_", Name(dtype)), "flash", isa, dtype});
    }
  }
  return engines;
}

std::vector<TestedEngine> TestedEngines(const std::vector<DType>& dtypes) {
  std::vector<TestedEngine> engines;
  for (const DType dtype : dtypes) {
    engines.push_back({absl::StrCat("eager_", Name(dtype)), "eager", CpuIsa::kPortable, dtype});
  }
  const std::vector<TestedEngine> flash = TestedFlash(dtypes);
  engines.insert(engines.end(), flash.begin(), flash.end());
  // Its plans are its own, its instruction sets those of `flash`.
  const CpuIsa isa = FastestCpuIsa();
  for (const DType dtype : dtypes) {
    engines.push_back({absl::StrCat("flex_", Name(isa), "_", Name(dtype)), "flex", isa, dtype});
  }
  return engines;
}

std::vector<CpuIsa> TestedIsas(DType dtype) {
  std::vector<CpuIsa> isas = SupportedCpuIsas();
  if (GetAmxSupport() == AmxSupport::kEmulated) isas.push_back(CpuIsa::kAmxBf16);
  const auto same_kernels = [dtype](CpuIsa a, CpuIsa b) {
    return &TileKernelsFor(a, dtype) == &TileKernelsFor(b, dtype);
  };
  isas.erase(std::unique(isas.begin(), isas.end(), same_kernels), isas.end());
  return isas;
}

IsaInUse::IsaInUse(CpuIsa isa) {
  if (isa == CpuIsa::kAmxBf16 && GetAmxSupport() == AmxSupport::kEmulated) emulator_.emplace();
}

Registry BackendsOn(CpuIsa isa) { return *CreateBuiltinRegistry({.cpu_isa = isa}); }

Roundoff RoundoffOn(CpuIsa isa, DType dtype) {
  Roundoff roundoff = UnitRoundoff("fp32");
  if (TileKernelsFor(isa, dtype).operand == Operand::kBFloat16) {
    roundoff.weights = Epsilon(DType::kBFloat16) / 2;
  }
  return roundoff;
}

Roundoff RoundoffOf(const TestedEngine& engine) {
  return engine.backend == "eager" ? UnitRoundoff("fp64") : RoundoffOn(engine.isa, engine.dtype);
}

absl::StatusOr<RunResult> RunOnThreads(const Backend& backend, const AttentionCall& call,
                                       int threads, uint64_t seed) {
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<Execution> execution, backend.Prepare(call));
  for (int phase = 0; phase < execution->phase_count(); ++phase) {
    ATTN_RETURN_IF_ERROR(RunPhase(*execution, phase, threads, seed));
  }
  return execution->Finish();
}

absl::Status RunInterleaved(const Backend& backend,
                            const std::vector<const AttentionCall*>& calls) {
  // Where a call stands.
  struct Running {
    std::unique_ptr<Execution> execution;
    int phase = 0;
    int64_t next = 0;
    int64_t tiles = 0;
  };
  std::vector<Running> running;
  for (const AttentionCall* call : calls) {
    ATTN_ASSIGN_OR_RETURN(std::unique_ptr<Execution> execution, backend.Prepare(*call));
    const int64_t tiles = execution->phase(0).tiles;
    running.push_back({std::move(execution), 0, 0, tiles});
  }
  Scratch scratch;
  for (size_t finished = 0; finished < running.size();) {
    finished = 0;
    for (Running& call : running) {
      while (call.next == call.tiles && call.phase < call.execution->phase_count()) {
        ++call.phase;
        call.next = 0;
        const bool more = call.phase < call.execution->phase_count();
        call.tiles = more ? call.execution->phase(call.phase).tiles : 0;
      }
      if (call.phase == call.execution->phase_count()) {
        ++finished;
        continue;
      }
      scratch.Reset();
      ATTN_RETURN_IF_ERROR(call.execution->RunTile(call.phase, call.next++, scratch));
    }
  }
  for (Running& call : running) ATTN_RETURN_IF_ERROR(call.execution->Finish().status());
  return absl::OkStatus();
}

absl::StatusOr<RunStats> RunPlanOnThreads(const AttentionCall& call, const Plan& plan, CpuIsa isa,
                                          int threads, uint64_t seed) {
  const IsaInUse in_use(isa);
  CpuDevice device;
  device.isa = isa;
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<PlanEngine> engine,
                        PlanEngine::Create(call, plan, device));
  for (int phase = 0; phase < PlanEngine::kPhaseCount; ++phase) {
    ATTN_RETURN_IF_ERROR(RunPhase(*engine, phase, threads, seed));
  }
  return engine->stats();
}

absl::StatusOr<RunStats> RunPlan(const AttentionCall& call, const Plan& plan, CpuIsa isa,
                                 int64_t first_tile) {
  const IsaInUse in_use(isa);
  CpuDevice device;
  device.isa = isa;
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<PlanEngine> engine,
                        PlanEngine::Create(call, plan, device));
  Scratch scratch;
  for (int phase = 0; phase < PlanEngine::kPhaseCount; ++phase) {
    const int64_t tiles = engine->phase(phase).tiles;
    for (int64_t i = 0; i < tiles; ++i) {
      scratch.Reset();
      ATTN_RETURN_IF_ERROR(engine->RunTile(phase, (first_tile + i) % tiles, scratch));
    }
  }
  return engine->stats();
}

}  // namespace attn
