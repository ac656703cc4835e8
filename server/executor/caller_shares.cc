#include "server/executor/caller_shares.h"

#include <algorithm>
#include <queue>

namespace attn {

void CallerShares::Admit(const ScheduledJob& job) {
  const auto [known, is_new] = shares_.try_emplace(job.job().caller_id);
  Share& share = known->second;
  if (is_new) share.serial = ++last_serial_;
  Unrank(share);
  ++share.calls;
  share.bytes += job.job().reserved_bytes;
  share.waiting.emplace_hint(share.waiting.end(), job.id, job.job().reserved_bytes);
  share.service += job.expected_service;
  AddRank(share);
  ++waiting_;
  bytes_ += job.job().reserved_bytes;
  service_ += job.expected_service;
}

void CallerShares::Launch(const ScheduledJob& job) {
  Share& share = shares_.find(job.job().caller_id)->second;
  Unrank(share);
  StopWaiting(share, job);
  AddRank(share);
}

void CallerShares::Remove(const ScheduledJob& job) {
  const auto known = shares_.find(job.job().caller_id);
  Share& share = known->second;
  Unrank(share);
  StopWaiting(share, job);
  --share.calls;
  share.bytes -= job.job().reserved_bytes;
  bytes_ -= job.job().reserved_bytes;
  if (share.calls > 0) {
    AddRank(share);
  } else {
    shares_.erase(known);
  }
}

std::vector<JobId> CallerShares::GivingWayToCall(const std::string& caller) const {
  if (by_waiting_.empty()) return {};
  const Share& heaviest = *by_waiting_.rbegin()->share;
  const Share* own = Find(caller);
  const size_t own_calls = own == nullptr ? 0 : own->waiting.size();
  if (own_calls + 1 > heaviest.waiting.size() - 1) return {};
  return {heaviest.waiting.rbegin()->first};
}

std::vector<JobId> CallerShares::GivingWayToBytes(const std::string& caller, int64_t bytes,
                                                  int64_t missing) const {
  const Share* own = Find(caller);
  const int64_t own_bytes = (own == nullptr ? 0 : own->bytes) + bytes;
  // Callers that give way, by what they still hold, and of each the next call to go.
  struct Giving {
    Rank rank;
    std::map<JobId, int64_t>::const_reverse_iterator next;
    bool operator<(const Giving& other) const { return rank < other.rank; }
  };
  std::priority_queue<Giving> giving;
  auto heaviest = by_bytes_.rbegin();  // Not among them yet.
  std::vector<JobId> calls;
  while (missing > 0) {
    if (heaviest != by_bytes_.rend() && (giving.empty() || giving.top().rank < *heaviest)) {
      giving.push({*heaviest, heaviest->share->waiting.rbegin()});
      ++heaviest;
    }
    if (giving.empty()) return {};
    Giving caller_giving = giving.top();
    giving.pop();
    const auto [id, call_bytes] = *caller_giving.next;
    caller_giving.rank.held -= call_bytes;
    if (own_bytes > caller_giving.rank.held) return {};
    if (call_bytes > 0) calls.push_back(id);  // Else it would give way for nothing.
    missing -= call_bytes;
    if (++caller_giving.next != caller_giving.rank.share->waiting.rend()) {
      giving.push(caller_giving);
    }
  }
  return calls;
}

absl::Duration CallerShares::ServiceAhead(const std::string& caller, absl::Duration service) const {
  const Share* own = Find(caller);
  const absl::Duration own_ahead = own == nullptr ? absl::ZeroDuration() : own->service;
  absl::Duration ahead = own_ahead;
  for (const auto& [id, share] : shares_) {
    if (&share != own) ahead += std::min(share.service, own_ahead + service);
  }
  return ahead;
}

void CallerShares::Unrank(const Share& share) {
  if (share.waiting.empty()) return;
  by_waiting_.erase({static_cast<int64_t>(share.waiting.size()), share.serial, &share});
  by_bytes_.erase({share.bytes, share.serial, &share});
}

void CallerShares::AddRank(const Share& share) {
  if (share.waiting.empty()) return;
  by_waiting_.insert({static_cast<int64_t>(share.waiting.size()), share.serial, &share});
  by_bytes_.insert({share.bytes, share.serial, &share});
}

void CallerShares::StopWaiting(Share& share, const ScheduledJob& job) {
  if (share.waiting.erase(job.id) == 0) return;
  --waiting_;
  share.service -= job.expected_service;
  service_ -= job.expected_service;
}

const CallerShares::Share* CallerShares::Find(const std::string& caller) const {
  const auto known = shares_.find(caller);
  return known == shares_.end() ? nullptr : &known->second;
}

}  // namespace attn
