// Protobuf messages that hold no tensors. gRPC hands them over as bytes, so that protobuf never
// builds objects from more of them than a small message has.
#ifndef ATTN_SERVER_SERVICES_SMALL_MESSAGE_H_
#define ATTN_SERVER_SERVICES_SMALL_MESSAGE_H_

#include <cstddef>

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"

namespace attn {

// Names, reasons and numbers: the longest of ours has under 1 KiB.
inline constexpr size_t kMaxSmallMessageBytes = size_t{64} << 10;

// INVALID_ARGUMENT for bytes that are too many, no such message, or hold a field that this server
// does not know and would ignore.
absl::Status ReadSmallMessage(const grpc::ByteBuffer& bytes, google::protobuf::Message* message);

grpc::ByteBuffer WriteSmallMessage(const google::protobuf::Message& message);

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_SMALL_MESSAGE_H_
