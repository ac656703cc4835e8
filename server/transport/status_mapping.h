// The only conversion between absl::Status and grpc::Status.
#ifndef ATTN_SERVER_TRANSPORT_STATUS_MAPPING_H_
#define ATTN_SERVER_TRANSPORT_STATUS_MAPPING_H_

#include <cstddef>

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace attn {

// Longest message sent: it travels percent-encoded (and is counted so) in an HTTP/2 header, which
// peers limit to 8 KiB in all.
inline constexpr size_t kMaxStatusMessageBytes = 4096;

// Codes are equal by number. A longer message is cut with a note that says so.
grpc::Status ToGrpcStatus(const absl::Status& status);
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace attn

#endif  // ATTN_SERVER_TRANSPORT_STATUS_MAPPING_H_
