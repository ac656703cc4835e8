#include "server/executor/tile_scheduler.h"

#include <utility>

namespace attn {

ScheduledJob& TileScheduler::Admit(std::unique_ptr<ScheduledJob> job) {
  const JobId id = ++last_id_;
  job->id = id;
  ScheduledJob& admitted = *jobs_.emplace(id, std::move(job)).first->second;
  Offer(admitted, admitted.work.first_tiles());
  return admitted;
}

std::optional<TileClaim> TileScheduler::Claim() {
  if (turns_.empty()) return std::nullopt;
  ScheduledJob& job = *turns_.front().offered.begin()->second;
  turns_.splice(turns_.end(), turns_, turns_.begin());
  const TileClaim claim{&job, job.next_tile, !job.launched};
  if (claim.launch) {
    job.launched = true;
    ++running_;
  }
  ++job.in_flight;
  if (++job.next_tile == job.tiles) Withdraw(job);
  Settle();
  return claim;
}

bool TileScheduler::Return(ScheduledJob& job, absl::Status status) {
  if (!status.ok()) Halt(job, std::move(status));
  const bool tiles_left = job.stop.ok() && job.next_tile < job.tiles;
  if (job.in_flight == 1 && !tiles_left) return true;
  --job.in_flight;
  return false;
}

void TileScheduler::Offer(ScheduledJob& job, int64_t tiles) {
  job.tiles = tiles;
  job.next_tile = 0;
  job.in_flight = 0;
  const std::string& id = job.work.job().caller_id;
  auto known = callers_.find(id);
  if (known == callers_.end()) {
    turns_.push_back({id});
    known = callers_.emplace(id, std::prev(turns_.end())).first;
  }
  Caller& caller = *known->second;
  caller.offered.emplace(job.id, &job);
  if (caller.full && job.launched) {
    caller.full = false;
    turns_.splice(turns_.end(), full_, known->second);
  }
  Settle();
}

bool TileScheduler::Stop(ScheduledJob& job, absl::Status why) {
  if (!job.stop.ok()) return false;
  Halt(job, std::move(why));
  if (job.in_flight > 0) return false;
  job.in_flight = 1;
  return true;
}

std::unique_ptr<ScheduledJob> TileScheduler::Remove(ScheduledJob& job) {
  auto removed = jobs_.extract(job.id);
  if (job.launched) --running_;
  Settle();
  return std::move(removed.mapped());
}

ScheduledJob* TileScheduler::Find(JobId id) {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : found->second.get();
}

void TileScheduler::Halt(ScheduledJob& job, absl::Status why) {
  if (!job.stop.ok()) return;
  if (job.next_tile < job.tiles) Withdraw(job);
  job.stop = std::move(why);
  Settle();
}

void TileScheduler::Withdraw(ScheduledJob& job) {
  const auto known = callers_.find(job.work.job().caller_id);
  Caller& caller = *known->second;
  caller.offered.erase(job.id);
  if (!caller.offered.empty()) return;
  (caller.full ? full_ : turns_).erase(known->second);
  callers_.erase(known);
}

void TileScheduler::Settle() {
  if (running_ < max_running_) {
    for (Caller& caller : full_) caller.full = false;
    turns_.splice(turns_.end(), full_);
    return;
  }
  while (!turns_.empty() && !turns_.front().offered.begin()->second->launched) {
    turns_.front().full = true;
    full_.splice(full_.end(), turns_, turns_.begin());
  }
}

}  // namespace attn
