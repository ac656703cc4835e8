#include "server/services/reply_ledger.h"

#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/services/response_encoder.h"

namespace attn {
namespace {

TEST(ReplyLedger, RefusesWithARetryHintWhileMoreThanTheBoundIsUnread) {
  ReplyLedger ledger(100);
  ledger.Add(100);
  EXPECT_TRUE(ledger.Admit().ok());
  ledger.Add(1);
  const absl::Status refused = ledger.Admit();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(RetryAfter(refused).has_value());
  ledger.Remove(1);
  EXPECT_TRUE(ledger.Admit().ok());
}

// A reply counts from when it is laid out until the last reference to its memory goes, which gRPC
// holds while it sends.
TEST(ReplyLedger, CountsAReplyUntilItsMemoryGoes) {
  BufferPool buffers(0);
  ReplyLedger ledger(63);
  ParsedCall call;
  call.outputs.resize(1);
  call.outputs[0].bytes = 64;
  std::vector<BufferPool::Lease> leases;
  leases.push_back(*buffers.Take(64));
  {
    const ResponseParts parts = LayOutResponse(call, std::move(leases), {}, &ledger);
    EXPECT_EQ(parts.payload_bytes, 64);
    EXPECT_FALSE(ledger.Admit().ok());
  }
  EXPECT_TRUE(ledger.Admit().ok());
}

}  // namespace
}  // namespace attn
