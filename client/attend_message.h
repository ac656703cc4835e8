// The messages of Attend, whose payloads protobuf never touches.
#ifndef ATTN_CLIENT_ATTEND_MESSAGE_H_
#define ATTN_CLIENT_ATTEND_MESSAGE_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/attention_client.h"
#include "grpcpp/support/byte_buffer.h"
#include "kernels/core/buffer_pool.h"

namespace attn {

// INVALID_ARGUMENT for what would be malformed on the wire: a payload whose size is not that of
// its shape and dtype, tensors in the request message itself.
absl::Status CheckArguments(const AttendArguments& arguments);

// The request, its payloads by reference until `owner` is released. Requires CheckArguments.
grpc::ByteBuffer EncodeAttendRequest(const attention::v1::AttendRequest& request,
                                     const std::vector<ClientTensor>& tensors,
                                     std::shared_ptr<const void> owner);

// The response, each payload copied once into memory of `pool`. INTERNAL if it is malformed.
absl::StatusOr<AttendResult> DecodeAttendResponse(const grpc::ByteBuffer& message,
                                                  BufferPool& pool);

}  // namespace attn

#endif  // ATTN_CLIENT_ATTEND_MESSAGE_H_
