// Something done again and again beside the calls.
#ifndef ATTN_SERVER_SERVICES_PERIODIC_H_
#define ATTN_SERVER_SERVICES_PERIODIC_H_

#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace attn {

// Runs `task` on a thread of its own, the first time one interval after construction.
class Periodic {
 public:
  Periodic(absl::Duration interval, std::function<void()> task);
  // Waits for the task in hand.
  ~Periodic() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);

  const absl::Duration interval_;
  const std::function<void()> task_;
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_PERIODIC_H_
