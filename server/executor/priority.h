// The classes of calls that are admitted and served apart.
#ifndef ATTN_SERVER_EXECUTOR_PRIORITY_H_
#define ATTN_SERVER_EXECUTOR_PRIORITY_H_

#include <cstdint>

namespace attn {

enum class Priority : uint8_t {
  kInteractive,  // Somebody waits for the answer.
  kBatch,        // Takes what interactive calls leave, never nothing.
};

inline constexpr int kPriorities = 2;
// As metrics and logs name them, by Priority.
inline constexpr const char* kPriorityNames[kPriorities] = {"interactive", "batch"};

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_PRIORITY_H_
