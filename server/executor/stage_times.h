// Where the time of one call went.
#ifndef ATTN_SERVER_EXECUTOR_STAGE_TIMES_H_
#define ATTN_SERVER_EXECUTOR_STAGE_TIMES_H_

#include <cstdint>

namespace attn {

// Wall-clock nanoseconds. Stages do not overlap within one call; what is left of total is waiting
// between them.
struct StageTimes {
  int64_t queue_ns = 0;   // From admission to the first tile.
  int64_t decode_ns = 0;  // Reading the request and gathering its payload.
  int64_t plan_ns = 0;
  int64_t kernel_ns = 0;
  int64_t encode_ns = 0;
  int64_t total_ns = 0;
};

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_STAGE_TIMES_H_
