// Writes lines to a descriptor from a thread of its own, so that one that is slow or stuck holds up
// nobody.
#ifndef ATTN_SERVER_TELEMETRY_LINE_WRITER_H_
#define ATTN_SERVER_TELEMETRY_LINE_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace attn {

// Thread-safe.
class LineWriter {
 public:
  // `fd` is borrowed and its flags stay as they are: others may share it.
  explicit LineWriter(int fd);
  ~LineWriter();  // Writes what is pending, for a second at most.

  // Appends `line`, which holds no line break, or drops it if more than kMaxPendingBytes would wait
  // (as much again may be on its way).
  void Write(absl::string_view line) ABSL_LOCKS_EXCLUDED(mutex_);

  int64_t dropped_lines() const ABSL_LOCKS_EXCLUDED(mutex_);

  // 10,000 lines of 400 bytes: a reader may pause for a second at 10,000 calls/s.
  static constexpr size_t kMaxPendingBytes = size_t{4} << 20;

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  // As far as the descriptor takes it; returns what is left when it fails or the farewell is over.
  absl::string_view WriteOut(absl::string_view text) const ABSL_LOCKS_EXCLUDED(mutex_);
  bool WaitUntilWritable() const ABSL_LOCKS_EXCLUDED(mutex_);
  bool Expired() const ABSL_LOCKS_EXCLUDED(mutex_);

  const int fd_;
  mutable absl::Mutex mutex_;
  std::string pending_ ABSL_GUARDED_BY(mutex_);
  int64_t dropped_lines_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time stop_by_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  std::thread thread_;
};

}  // namespace attn

#endif  // ATTN_SERVER_TELEMETRY_LINE_WRITER_H_
