// One unary call: attempts, back-off, deadline, and what its errors say.
#ifndef ATTN_CLIENT_UNARY_CALL_H_
#define ATTN_CLIENT_UNARY_CALL_H_

#include <memory>
#include <stop_token>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/channels.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/status.h"

namespace attn {

struct UnaryOptions {
  absl::Duration timeout;  // Of all attempts together; zero or negative = none.
  int max_retries = 0;     // After UNAVAILABLE only.
  std::stop_token cancel = {};
};

// One attempt: blocks until the call on `channel` has ended.
using UnaryAttempt = absl::FunctionRef<grpc::Status(const std::shared_ptr<grpc::Channel>& channel,
                                                    grpc::ClientContext* context)>;

// After an attempt, when its context is gone.
using AttemptEnded = absl::FunctionRef<void()>;

absl::Status RunUnary(Channels& channels, const UnaryOptions& options, UnaryAttempt attempt,
                      AttemptEnded attempt_ended);
absl::Status RunUnary(Channels& channels, const UnaryOptions& options, UnaryAttempt attempt);

// An attempt whose messages protobuf does not touch. `method` is the path: `/package.Service/Name`.
grpc::Status CallRaw(const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext* context,
                     const char* method, const grpc::ByteBuffer& request,
                     grpc::ByteBuffer* response);

// `status` of a call, with what only this side knows: that the server at `address` could not be
// reached.
absl::Status WithConnection(absl::Status status, grpc::Channel& channel,
                            const std::string& address);

}  // namespace attn

#endif  // ATTN_CLIENT_UNARY_CALL_H_
