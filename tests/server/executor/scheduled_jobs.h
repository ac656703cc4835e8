// Admitted jobs without an executor, for tests of its accounts.
#ifndef ATTN_TESTS_SERVER_EXECUTOR_SCHEDULED_JOBS_H_
#define ATTN_TESTS_SERVER_EXECUTOR_SCHEDULED_JOBS_H_

#include <deque>
#include <string>
#include <utility>

#include "server/executor/scheduled_job.h"

namespace attn {

class ScheduledJobs {
 public:
  // Ids count from 1; references stay valid.
  ScheduledJob& Make(Job job) {
    ScheduledJob& made = jobs_.emplace_back(std::move(job));
    made.id = jobs_.size();
    return made;
  }

  ScheduledJob& operator[](JobId id) { return jobs_[id - 1]; }

 private:
  std::deque<ScheduledJob> jobs_;
};

}  // namespace attn

#endif  // ATTN_TESTS_SERVER_EXECUTOR_SCHEDULED_JOBS_H_
