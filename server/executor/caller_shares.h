// What each caller of one class holds, and whose waiting calls give way to whose.
//
// Max-min fair by longest-queue-drop: a caller alone may hold everything; when there is no room,
// the newest waiting call of the caller that holds most gives way, unless the newcomer's caller
// would then hold more than the one that gave way.
#ifndef ATTN_SERVER_EXECUTOR_CALLER_SHARES_H_
#define ATTN_SERVER_EXECUTOR_CALLER_SHARES_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/executor/scheduled_job.h"

namespace attn {

// Not thread-safe: the executor's lock guards it. A caller costs memory only while it has calls.
class CallerShares {
 public:
  // A job waits from Admit to Launch or Remove, and counts until Remove.
  void Admit(const ScheduledJob& job);
  void Launch(const ScheduledJob& job);
  void Remove(const ScheduledJob& job);

  int64_t waiting() const { return waiting_; }
  int64_t bytes() const { return bytes_; }

  // Waiting calls that give way to one more call of `caller`, or to one of `bytes` bytes that lacks
  // `missing` of them. Empty: none does.
  std::vector<JobId> GivingWayToCall(const std::string& caller) const;
  std::vector<JobId> GivingWayToBytes(const std::string& caller, int64_t bytes,
                                      int64_t missing) const;

  // Workers' time that waiting calls are expected to take: of all, and of those that get their
  // turns before a new call of `caller` is done, which takes `service` itself. Callers take turns,
  // so each of the others is served as much as this one, or all it has.
  absl::Duration service() const { return service_; }
  absl::Duration ServiceAhead(const std::string& caller, absl::Duration service) const;

 private:
  struct Share {
    int64_t serial = 0;
    int64_t calls = 0;                 // Admitted.
    int64_t bytes = 0;                 // Of those.
    std::map<JobId, int64_t> waiting;  // Their bytes.
    absl::Duration service;            // Expected of those waiting.
  };
  // Callers that have waiting calls, by what they hold; the earlier comer first among equals.
  struct Rank {
    int64_t held;
    int64_t serial;
    const Share* share;
    bool operator<(const Rank& other) const {
      return held != other.held ? held < other.held : serial < other.serial;
    }
  };

  void Unrank(const Share& share);
  void AddRank(const Share& share);
  void StopWaiting(Share& share, const ScheduledJob& job);
  const Share* Find(const std::string& caller) const;

  std::unordered_map<std::string, Share> shares_;
  std::set<Rank> by_waiting_;
  std::set<Rank> by_bytes_;
  int64_t last_serial_ = 0;
  int64_t waiting_ = 0;
  int64_t bytes_ = 0;
  absl::Duration service_;
};

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_CALLER_SHARES_H_
