#include "server/executor/running_job.h"

#include <exception>
#include <new>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// The edge where exceptions of backends, and of libraries that they use, end.
absl::Status CatchExceptions(const Backend& backend, absl::FunctionRef<absl::Status()> run) {
  try {
    return run();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(
        absl::StrCat(backend.info().name, ": out of memory while running the call"));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(backend.info().name, " threw: ", error.what()));
  } catch (...) {
    return absl::InternalError(absl::StrCat(backend.info().name, " threw what is no exception"));
  }
}

int64_t Nanoseconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
}

}  // namespace

RunningJob::RunningJob(Job job)
    : job_(std::move(job)), gather_(job_.copies), admitted_(Clock::now()) {}

void RunningJob::BeginStretch() {
  stretch_began_ = Clock::now();
  if (launched_ == Clock::time_point()) {
    launched_ = stretch_began_;
    times_.queue_ns = Nanoseconds(launched_ - admitted_);
  }
}

absl::Status RunningJob::RunTile(int64_t tile, Scratch& scratch) {
  if (phase_ < 0) {
    if (tile < gather_.tiles()) gather_.RunTile(tile);
    return absl::OkStatus();
  }
  scratch.Reset();
  return CatchExceptions(*job_.backend, [&] { return execution_->RunTile(phase_, tile, scratch); });
}

absl::StatusOr<int64_t> RunningJob::Advance() {
  EndStretch();
  int64_t tiles = 0;
  ATTN_RETURN_IF_ERROR(CatchExceptions(*job_.backend, [&]() -> absl::Status {
    ATTN_ASSIGN_OR_RETURN(tiles, NextPhase());
    return absl::OkStatus();
  }));
  return tiles;
}

// Time outside tiles counts too: Prepare and phase() decide what to compute, Finish completes it.
absl::StatusOr<int64_t> RunningJob::NextPhase() {
  const auto began = Clock::now();
  if (execution_ == nullptr) {
    ATTN_ASSIGN_OR_RETURN(execution_, job_.backend->Prepare(job_.call));
  }
  while (++phase_ < execution_->phase_count()) {
    const Phase phase = execution_->phase(phase_);
    if (phase.tiles < 0) {
      return absl::InternalError(absl::StrCat(job_.backend->info().name, ": phase ", phase_,
                                              " has ", phase.tiles, " tiles"));
    }
    if (phase.tiles > 0) {
      stage_ = phase.stage == Stage::kPlan ? &StageTimes::plan_ns : &StageTimes::kernel_ns;
      times_.plan_ns += Nanoseconds(Clock::now() - began);
      return phase.tiles;
    }
  }
  const auto finishing = Clock::now();
  times_.plan_ns += Nanoseconds(finishing - began);
  ATTN_ASSIGN_OR_RETURN(result_, execution_->Finish());
  times_.kernel_ns += Nanoseconds(Clock::now() - finishing);
  return 0;
}

absl::Duration RunningJob::run_time() const {
  if (launched_ == Clock::time_point()) return absl::ZeroDuration();
  return absl::FromChrono(Clock::now() - launched_);
}

void RunningJob::Close() {
  EndStretch();
  if (launched_ == Clock::time_point()) times_.queue_ns = Nanoseconds(Clock::now() - admitted_);
  execution_.reset();
}

void RunningJob::Report(absl::Status status) {
  job_.done({std::move(status), std::move(result_), times_});
}

void RunningJob::EndStretch() {
  if (stretch_began_ == Clock::time_point()) return;
  times_.*stage_ += Nanoseconds(Clock::now() - stretch_began_);
  stretch_began_ = Clock::time_point();
}

}  // namespace attn
