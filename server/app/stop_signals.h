// The signals that a server listens to, taken by one thread from the start of the process to its
// end.
#ifndef ATTN_SERVER_APP_STOP_SIGNALS_H_
#define ATTN_SERVER_APP_STOP_SIGNALS_H_

#include <csignal>
#include <cstdint>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace attn {

// SIGTERM and SIGINT stop: the first in order, a second one ends the process at once, by its own
// default, whatever the rest of the process does. SIGHUP asks for a reload; while one is being done
// any number of them ask for one more, and once the server stops they have no effect. SIGPIPE is
// ignored: whoever reads our output may go away.
class StopSignals {
 public:
  enum class Event : uint8_t { kStop, kReload };

  // The calling thread and all that it starts leave the signals to this object's thread: create it
  // before any other thread.
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // Waits for the next thing to do. A stop goes before a reload.
  Event Wait() ABSL_LOCKS_EXCLUDED(mutex_);

  // From the first stop on.
  bool stopping() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Listen(sigset_t signals) ABSL_LOCKS_EXCLUDED(mutex_);

  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool reload_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;  // Of this object.
  std::thread thread_;
};

}  // namespace attn

#endif  // ATTN_SERVER_APP_STOP_SIGNALS_H_
