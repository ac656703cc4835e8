#include "server/executor/launch_queue.h"

#include <algorithm>

namespace attn {

void LaunchQueue::Add(ScheduledJob& job, absl::Time due) {
  Lane& lane = LaneOf(job);
  const std::string& id = job.job().caller_id;
  auto known = lane.callers.find(id);
  if (known == lane.callers.end()) {
    lane.turns.emplace_back().id = id;
    known = lane.callers.emplace(id, std::prev(lane.turns.end())).first;
  }
  known->second->calls.emplace(job.id, &job);
  lane.due.emplace(due, job.id);
  job.due = due;
  job.gathering = true;
  ++calls_;
}

void LaunchQueue::Remove(ScheduledJob& job) { Remove(LaneOf(job), job); }

void LaunchQueue::Remove(Lane& lane, ScheduledJob& job) {
  lane.due.erase({job.due, job.id});
  const auto known = lane.callers.find(job.job().caller_id);
  const auto caller = known->second;
  caller->calls.erase(job.id);
  if (caller->calls.empty()) {
    lane.turns.erase(caller);
    lane.callers.erase(known);
  }
  job.gathering = false;
  --calls_;
}

bool LaunchQueue::CanTake(absl::Time now, int max_calls) const {
  if (empty()) return false;
  for (const auto& [name, device] : devices_) {
    if (device.busy) continue;
    if (device.Find(Priority::kInteractive, now, max_calls) != nullptr) return true;
    if (device.Find(Priority::kBatch, now, max_calls) != nullptr) return true;
  }
  return false;
}

std::optional<LaunchBatch> LaunchQueue::Take(absl::Time now, int max_calls) {
  if (empty()) return std::nullopt;
  for (auto& [name, device] : devices_) {
    if (device.busy) continue;
    const Lane* interactive = device.Find(Priority::kInteractive, now, max_calls);
    const Lane* batch = device.Find(Priority::kBatch, now, max_calls);
    if (interactive == nullptr && batch == nullptr) continue;
    const Priority turn = device.turns.Take(interactive != nullptr, batch != nullptr, false);
    const Lane* chosen = turn == Priority::kBatch ? batch : interactive;
    auto& lanes = device.lanes[static_cast<size_t>(turn)];
    const auto lane = std::find_if(lanes.begin(), lanes.end(),
                                   [&](const Lane& other) { return &other == chosen; });
    lanes.splice(lanes.end(), lanes, lane);
    device.busy = true;
    LaunchBatch taken{lane->backend, {}};
    while (taken.calls.size() < static_cast<size_t>(max_calls) && !lane->turns.empty()) {
      ScheduledJob& job = *lane->turns.front().calls.begin()->second;
      lane->turns.splice(lane->turns.end(), lane->turns, lane->turns.begin());
      Remove(*lane, job);
      taken.calls.push_back(&job);
    }
    return taken;
  }
  return std::nullopt;
}

void LaunchQueue::Free(const Backend& backend) {
  devices_.find(backend.info().device)->second.busy = false;
}

absl::Time LaunchQueue::NextDue(absl::Time now) const {
  absl::Time next = absl::InfiniteFuture();
  if (empty()) return next;
  for (const auto& [name, device] : devices_) {
    for (const auto& lanes : device.lanes) {
      for (const Lane& lane : lanes) {
        const auto later = lane.due.lower_bound({now, JobId{0}});
        if (later != lane.due.end()) next = std::min(next, later->first);
      }
    }
  }
  return next;
}

bool LaunchQueue::Lane::CanTake(absl::Time now, int max_calls) const {
  if (due.empty()) return false;
  return due.begin()->first <= now || due.size() >= static_cast<size_t>(max_calls);
}

const LaunchQueue::Lane* LaunchQueue::Device::Find(Priority priority, absl::Time now,
                                                   int max_calls) const {
  for (const Lane& lane : lanes[static_cast<size_t>(priority)]) {
    if (lane.CanTake(now, max_calls)) return &lane;
  }
  return nullptr;
}

LaunchQueue::Lane& LaunchQueue::LaneOf(const ScheduledJob& job) {
  const Backend* backend = job.job().backend;
  auto& lanes = devices_[backend->info().device].lanes[static_cast<size_t>(job.job().priority)];
  const auto known = std::find_if(lanes.begin(), lanes.end(),
                                  [&](const Lane& lane) { return lane.backend == backend; });
  if (known != lanes.end()) return *known;
  lanes.emplace_back().backend = backend;
  return lanes.back();
}

}  // namespace attn
