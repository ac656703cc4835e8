// Calls of backends that launch batches, their copies done: gathered until their device is free,
// then taken a batch at a time.
#ifndef ATTN_SERVER_EXECUTOR_LAUNCH_QUEUE_H_
#define ATTN_SERVER_EXECUTOR_LAUNCH_QUEUE_H_

#include <array>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "kernels/core/backend.h"
#include "server/executor/class_turns.h"
#include "server/executor/scheduled_job.h"

namespace attn {

// Calls of one backend and class.
struct LaunchBatch {
  const Backend* backend = nullptr;
  std::vector<ScheduledJob*> calls;
};

// A device runs one launch at a time, so that calls gather while it is busy. On a free one classes
// take turns (ClassTurns), within a class its backends, within a batch callers, one call a turn.
// Not thread-safe: the executor's lock guards it. Jobs are borrowed from Add to Take or Remove.
class LaunchQueue {
 public:
  // The job waits for company until `due` at most.
  void Add(ScheduledJob& job, absl::Time due);
  void Remove(ScheduledJob& job);
  bool empty() const { return calls_ == 0; }

  // Whether a free device has a full batch or a call that is due, and that batch: its device is
  // busy until Free.
  bool CanTake(absl::Time now, int max_calls) const;
  std::optional<LaunchBatch> Take(absl::Time now, int max_calls);
  void Free(const Backend& backend);

  // The first time after `now` that a call is due; InfiniteFuture if none is.
  absl::Time NextDue(absl::Time now) const;

 private:
  struct Caller {
    std::string id;
    std::map<JobId, ScheduledJob*> calls;  // Never empty.
  };
  struct Lane {
    const Backend* backend = nullptr;
    std::list<Caller> turns;  // The front's turn is next.
    std::unordered_map<std::string, std::list<Caller>::iterator> callers;
    std::set<std::pair<absl::Time, JobId>> due;  // Of every call.

    bool CanTake(absl::Time now, int max_calls) const;
  };
  struct Device {
    bool busy = false;
    ClassTurns turns;
    // One a backend, by Priority. The front was taken from longest ago.
    std::array<std::list<Lane>, kPriorities> lanes;

    // Null if none can be taken from.
    const Lane* Find(Priority priority, absl::Time now, int max_calls) const;
  };

  Lane& LaneOf(const ScheduledJob& job);
  void Remove(Lane& lane, ScheduledJob& job);

  std::map<std::string, Device> devices_;  // By BackendInfo::device.
  int64_t calls_ = 0;
};

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_LAUNCH_QUEUE_H_
