// How fast room comes back: the measured rate at which calls end.
#ifndef ATTN_SERVER_EXECUTOR_DRAIN_RATE_H_
#define ATTN_SERVER_EXECUTOR_DRAIN_RATE_H_

#include <cstdint>

#include "absl/time/time.h"

namespace attn {

// Means of the interval between ends and of the bytes that an end gives back, over some 32 calls:
// fewer would follow every batch whose calls end at once. Idle time does not count.
class DrainRate {
 public:
  // The first call after an idle time was admitted.
  void Begin(absl::Time now) { last_ = now; }
  void Ended(int64_t bytes, absl::Time now);

  // When room can be expected for `calls` more calls with `bytes` more bytes together. From 10 ms
  // (sooner a retry mostly meets the same calls) to 10 s (the mean says little about so far away).
  absl::Duration Until(int64_t calls, int64_t bytes, absl::Time now) const;

 private:
  int64_t ends_ = 0;
  absl::Time last_;
  double mean_interval_s_ = 0;
  double mean_bytes_ = 0;
};

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_DRAIN_RATE_H_
