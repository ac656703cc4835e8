#include "server/executor/running_job.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/core/status_macros.h"
#include "server/executor/catch_exceptions.h"

namespace attn {
namespace {

int64_t Nanoseconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
}

}  // namespace

RunningJob::RunningJob(Job job) : job_(std::move(job)), admitted_(Clock::now()) {}

void RunningJob::BeginStretch() {
  stretch_began_ = Clock::now();
  begun_ = true;
  if (launched_ == Clock::time_point() && !job_.backend->launches_batches()) Launch();
}

void RunningJob::Launch() {
  launched_ = Clock::now();
  times_.queue_ns = QueueNanoseconds();
}

absl::Status RunningJob::RunTile(int64_t tile, Scratch& scratch) {
  if (phase_ == kPlacing) return CatchExceptions(*job_.backend, [this] { return Place(); });
  if (phase_ == kCopying) {
    gather_->RunTile(tile);
    return absl::OkStatus();
  }
  scratch.Reset();
  return CatchExceptions(*job_.backend, [&] { return execution_->RunTile(phase_, tile, scratch); });
}

absl::Status RunningJob::Place() {
  if (job_.place) ATTN_RETURN_IF_ERROR(job_.place(job_.call, job_.copies));
  gather_.emplace(job_.copies);
  placed_ = true;
  if (gather_->tiles() == 1) gather_->RunTile(0);
  return absl::OkStatus();
}

absl::StatusOr<RunningJob::Next> RunningJob::Advance() {
  EndStretch();
  if (phase_ == kPlacing) {
    phase_ = kCopying;
    if (gather_->tiles() > 1) return Next{Next::Step::kTiles, gather_->tiles()};
  }
  if (job_.backend->launches_batches()) return Next{Next::Step::kLaunch};
  int64_t tiles = 0;
  ATTN_RETURN_IF_ERROR(CatchExceptions(*job_.backend, [&]() -> absl::Status {
    ATTN_ASSIGN_OR_RETURN(tiles, NextPhase());
    return absl::OkStatus();
  }));
  return tiles > 0 ? Next{Next::Step::kTiles, tiles} : Next{Next::Step::kDone};
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

absl::StatusOr<Execution*> RunningJob::Prepare() {
  Launch();
  stage_ = &StageTimes::kernel_ns;
  ATTN_RETURN_IF_ERROR(CatchExceptions(*job_.backend, [this]() -> absl::Status {
    ATTN_ASSIGN_OR_RETURN(execution_, job_.backend->Prepare(job_.call));
    return absl::OkStatus();
  }));
  times_.plan_ns += Nanoseconds(Clock::now() - launched_);
  return execution_.get();
}

absl::Status RunningJob::Finish() {
  absl::Status status = CatchExceptions(*job_.backend, [this]() -> absl::Status {
    ATTN_ASSIGN_OR_RETURN(result_, execution_->Finish());
    return absl::OkStatus();
  });
  EndStretch();
  return status;
}

void RunningJob::UndoPrepare() {
  execution_.reset();
  stretch_began_ = Clock::time_point();
  times_.plan_ns = 0;
}

absl::Duration RunningJob::run_time() const {
  if (launched_ == Clock::time_point()) return absl::ZeroDuration();
  return absl::FromChrono(Clock::now() - launched_);
}

void RunningJob::Close() {
  EndStretch();
  if (launched_ == Clock::time_point()) times_.queue_ns = QueueNanoseconds();
  execution_.reset();
}

void RunningJob::Report(absl::Status status, CallEnd end, int64_t batch_calls) {
  job_.done({.status = std::move(status),
             .result = std::move(result_),
             .times = times_,
             .end = end,
             .stage = ran() ? CallStage::kRunning : CallStage::kQueued,
             .batch_calls = ran() ? batch_calls : 0});
}

void RunningJob::EndStretch() {
  if (stretch_began_ == Clock::time_point()) return;
  times_.*stage_ += Nanoseconds(Clock::now() - stretch_began_);
  stretch_began_ = Clock::time_point();
}

int64_t RunningJob::QueueNanoseconds() const {
  return Nanoseconds(Clock::now() - admitted_) - times_.decode_ns;
}

}  // namespace attn
