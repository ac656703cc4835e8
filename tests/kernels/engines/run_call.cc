#include "tests/kernels/engines/run_call.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "kernels/core/scratch.h"
#include "kernels/core/status_macros.h"
#include "kernels/engines/cpu/plan_engine.h"

namespace attn {
namespace {

absl::Status RunPhase(Execution& execution, int phase, int threads, uint64_t seed) {
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

absl::StatusOr<RunResult> RunOnThreads(const Backend& backend, const AttentionCall& call,
                                       int threads, uint64_t seed) {
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<Execution> execution, backend.Prepare(call));
  for (int phase = 0; phase < execution->phase_count(); ++phase) {
    ATTN_RETURN_IF_ERROR(RunPhase(*execution, phase, threads, seed));
  }
  return execution->Finish();
}

absl::StatusOr<RunStats> RunPlan(const AttentionCall& call, const Plan& plan) {
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<PlanEngine> engine, PlanEngine::Create(call, plan));
  Scratch scratch;
  for (int phase = 0; phase < PlanEngine::kPhaseCount; ++phase) {
    for (int64_t tile = 0; tile < engine->phase(phase).tiles; ++tile) {
      ATTN_RETURN_IF_ERROR(engine->RunTile(phase, tile, scratch));
    }
  }
  return engine->stats();
}

}  // namespace attn
