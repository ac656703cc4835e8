// Replies that are on their way: computed, outside the executor's budget, not yet taken by
// their callers.
#ifndef ATTN_SERVER_SERVICES_REPLY_LEDGER_H_
#define ATTN_SERVER_SERVICES_REPLY_LEDGER_H_

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/executor/executor.h"

namespace attn {

// Thread-safe. Outlives every reply.
class ReplyLedger {
 public:
  explicit ReplyLedger(int64_t max_bytes) : max_bytes_(max_bytes) {}

  // RESOURCE_EXHAUSTED while callers that do not read hold more than the bound.
  absl::Status Admit() const {
    const int64_t bytes = bytes_.load(std::memory_order_relaxed);
    if (bytes <= max_bytes_) return absl::OkStatus();
    const absl::Status full = absl::ResourceExhaustedError(absl::StrCat(
        "replies that their callers have not read hold ", bytes, " bytes, allowed: ", max_bytes_));
    return WithRetryAfter(WithRefusal(full, kRefusedUnread), absl::Milliseconds(100));
  }

  void Add(int64_t bytes) {
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
    replies_.fetch_add(1, std::memory_order_relaxed);
  }
  void Remove(int64_t bytes) {
    bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    replies_.fetch_sub(1, std::memory_order_relaxed);
  }

  int64_t replies() const { return replies_.load(std::memory_order_relaxed); }

 private:
  const int64_t max_bytes_;
  std::atomic<int64_t> bytes_ = 0;
  std::atomic<int64_t> replies_ = 0;
};

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_REPLY_LEDGER_H_
