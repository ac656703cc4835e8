// The standard health service, grpc.health.v1.Health/Check. Its messages have one field each, and
// Debian ships no generated code for them.
#ifndef ATTN_CLIENT_HEALTH_CHECK_H_
#define ATTN_CLIENT_HEALTH_CHECK_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/channels.h"
#include "client/unary_call.h"

namespace attn {

// `SERVING`, `NOT_SERVING`, `SERVICE_UNKNOWN` or `UNKNOWN`. INTERNAL if the answer is malformed.
absl::StatusOr<std::string> CheckServiceHealth(Channels& channels, const UnaryOptions& options,
                                               absl::string_view service);

}  // namespace attn

#endif  // ATTN_CLIENT_HEALTH_CHECK_H_
