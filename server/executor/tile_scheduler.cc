#include "server/executor/tile_scheduler.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace attn {
namespace {

bool NeedsSlot(const ScheduledJob& job) {
  return !job.launched && !job.job().backend->launches_batches();
}

// What a turn is meant to take: well above the tiles of ordinary calls.
constexpr absl::Duration kTurnTime = absl::Milliseconds(1);

// Slots that batch calls may hold.
int64_t BatchSlots(int64_t max_running) {
  return std::max<int64_t>(1, max_running - std::max<int64_t>(1, max_running / 4));
}

}  // namespace

void TileScheduler::SetLimits(const ExecutorLimits& limits) {
  limits_ = limits;
  Settle();
}

ScheduledJob& TileScheduler::Admit(std::unique_ptr<ScheduledJob> job, int64_t tiles) {
  ScheduledJob& admitted = *jobs_.emplace(job->id, std::move(job)).first->second;
  Offer(admitted, tiles);
  return admitted;
}

std::optional<TileClaim> TileScheduler::Claim() {
  if (!has_claimable()) return std::nullopt;
  const Line& batch = line(Priority::kBatch);
  // Before the turn is taken: it may come to keep the last free slot for batch calls.
  const bool interactive_slot = FreeSlots(Priority::kInteractive) > 0;
  const bool batch_slot = FreeSlots(Priority::kBatch) > 0;
  const Priority priority = turns_.Take(!line(Priority::kInteractive).ready.empty(),
                                        !batch.ready.empty(), !batch.full.empty());
  Line& turn = line(priority);
  PassOver(turn, priority == Priority::kBatch ? batch_slot : interactive_slot);
  ScheduledJob& job = *turn.ready.front().offered.begin()->second;
  turn.ready.splice(turn.ready.end(), turn.ready, turn.ready.begin());
  TileClaim claim;
  claim.job = &job;
  claim.tile = job.next_tile;
  if (NeedsSlot(job)) Launch(job, claim);
  ++job.in_flight;
  if (++job.next_tile == job.tiles) Withdraw(job);
  Settle();
  return claim;
}

void TileScheduler::Launch(ScheduledJob& job, TileClaim& claim) {
  Line& its = line(job.job().priority);
  const auto launch = [&](ScheduledJob& member) {
    member.launched = member.holds_slot = true;
    ++its.slots;
    claim.launched.push_back(&member);
  };
  launch(job);
  const auto max_calls = static_cast<size_t>(limits_.max_batch_calls);
  for (const Caller& caller : its.ready) {
    if (claim.launched.size() >= max_calls || FreeSlots(job.job().priority) <= 0) break;
    ScheduledJob& head = *caller.offered.begin()->second;
    if (NeedsSlot(head) && head.job().backend == job.job().backend) launch(head);
  }
  for (ScheduledJob* member : claim.launched) {
    member->batch_calls = static_cast<int64_t>(claim.launched.size());
  }
}

// Those at the front can take the turn: all of them while a slot is free, else those that need
// none.
void TileScheduler::PassOver(Line& its, bool slot_free) {
  const auto can_take = [slot_free](const Caller& caller) {
    return slot_free || !NeedsSlot(*caller.offered.begin()->second);
  };
  for (size_t n = its.ready.size(); n > 1; --n) {
    if (its.ready.front().owed_turns == 0 || !can_take(*std::next(its.ready.begin()))) return;
    --its.ready.front().owed_turns;
    its.ready.splice(its.ready.end(), its.ready, its.ready.begin());
  }
}

void TileScheduler::Charge(const ScheduledJob& job, absl::Duration service) {
  const int64_t turns = std::min<int64_t>(service / kTurnTime, kMaxOwedTurns);
  if (turns <= 0) return;
  const bool batch_wants =
      !line(Priority::kBatch).ready.empty() || !line(Priority::kBatch).full.empty();
  turns_.Charge(job.job().priority, turns, batch_wants);
  Callers& callers = CallersOf(job);
  const auto known = callers.find(job.job().caller_id);
  if (known == callers.end()) return;  // Offers nothing now.
  Caller& caller = *known->second;
  caller.owed_turns = std::min(caller.owed_turns + turns, kMaxOwedTurns);
}

bool TileScheduler::Return(ScheduledJob& job, absl::Status status, absl::Duration service) {
  Charge(job, service);
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
  Line& its = line(job.job().priority);
  Callers& callers = CallersOf(job);
  const std::string& id = job.job().caller_id;
  auto known = callers.find(id);
  if (known == callers.end()) {
    its.ready.emplace_back().id = id;
    known = callers.emplace(id, std::prev(its.ready.end())).first;
  }
  Caller& caller = *known->second;
  caller.offered.emplace(job.id, &job);
  if (caller.full && !NeedsSlot(job)) {
    caller.full = false;
    its.ready.splice(its.ready.end(), its.full, known->second);
  }
  Settle();
}

bool TileScheduler::Stop(ScheduledJob& job, absl::Status why, CallEnd end) {
  if (!job.stop.ok()) return false;
  job.stop_end = end;
  Halt(job, std::move(why));
  if (job.in_flight > 0) return false;
  job.in_flight = 1;
  return true;
}

std::unique_ptr<ScheduledJob> TileScheduler::Remove(ScheduledJob& job) {
  auto removed = jobs_.extract(job.id);
  if (job.holds_slot) --line(job.job().priority).slots;
  Settle();
  return std::move(removed.mapped());
}

ScheduledJob* TileScheduler::Find(JobId id) {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : found->second.get();
}

int64_t TileScheduler::FreeSlots(Priority priority) const {
  const int64_t max_running = limits_.max_running;
  const Line& batch = lines_[static_cast<size_t>(Priority::kBatch)];
  const int64_t free = max_running - line(0).slots - line(1).slots;
  const int64_t left_to_batch = BatchSlots(max_running) - batch.slots;
  if (priority == Priority::kBatch) return std::min(free, left_to_batch);
  const bool kept = turns_.batch_due() && !batch.full.empty() && left_to_batch > 0;
  return kept ? free - 1 : free;
}

void TileScheduler::Halt(ScheduledJob& job, absl::Status why) {
  if (!job.stop.ok()) return;
  if (job.next_tile < job.tiles) Withdraw(job);
  job.stop = std::move(why);
  Settle();
}

void TileScheduler::Withdraw(ScheduledJob& job) {
  Line& its = line(job.job().priority);
  Callers& callers = CallersOf(job);
  const auto known = callers.find(job.job().caller_id);
  Caller& caller = *known->second;
  caller.offered.erase(job.id);
  if (!caller.offered.empty()) return;
  (caller.full ? its.full : its.ready).erase(known->second);
  callers.erase(known);
}

// Batch calls first: whether a slot is kept for them bounds the interactive ones.
void TileScheduler::Settle() {
  Settle(Priority::kBatch);
  Settle(Priority::kInteractive);
}

void TileScheduler::Settle(Priority priority) {
  Line& its = line(priority);
  int64_t free = FreeSlots(priority);
  for (; free > 0 && !its.full.empty(); --free) {
    its.full.front().full = false;
    its.ready.splice(its.ready.end(), its.full, its.full.begin());
  }
  if (FreeSlots(priority) > 0) return;
  while (!its.ready.empty() && NeedsSlot(*its.ready.front().offered.begin()->second)) {
    its.ready.front().full = true;
    its.full.splice(its.full.end(), its.ready, its.ready.begin());
  }
}

}  // namespace attn
