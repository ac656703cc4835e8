#include "client/attend_message.h"

#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "kernels/core/tensor_view.h"
#include "server/transport/byte_buffer.h"
#include "server/transport/proto_conversion.h"
#include "server/transport/wire_tensors.h"

namespace attn {
namespace {

// Bytes of a tensor; the error begins with `field`.
absl::StatusOr<int64_t> PayloadBytes(absl::string_view field, DType dtype,
                                     std::span<const int64_t> shape) {
  const std::optional<int64_t> count = CheckedElementCount(shape);
  // At most 64 bits an element: the size in bits stays within int64.
  if (!count.has_value() || *count > (int64_t{1} << 56)) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": shape [", absl::StrJoin(shape, ", "), "] is negative or too large"));
  }
  return ByteSize(dtype, *count);
}

absl::Status CheckPayload(absl::string_view field, DType dtype, std::span<const int64_t> shape,
                          int64_t actual_bytes) {
  ATTN_ASSIGN_OR_RETURN(const int64_t expected_bytes, PayloadBytes(field, dtype, shape));
  if (actual_bytes == expected_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, ": payload has ", actual_bytes,
                                                 " bytes, but shape [", absl::StrJoin(shape, ", "),
                                                 "] of ", Name(dtype), " needs ", expected_bytes));
}

absl::StatusOr<ReceivedTensor> CopyTensor(const WireTensor& wire, BufferPool& pool) {
  const std::string field = absl::StrCat("output ", Quoted(wire.header.name()));
  ATTN_ASSIGN_OR_RETURN(const DType dtype, FromProto(field, wire.header.dtype()));
  ReceivedTensor tensor = {.name = wire.header.name(),
                           .dtype = dtype,
                           .shape = {wire.header.shape().begin(), wire.header.shape().end()},
                           .pattern = wire.header.pattern(),
                           .heads = wire.header.heads()};
  ATTN_RETURN_IF_ERROR(CheckPayload(field, dtype, tensor.shape, wire.payload_bytes));
  ATTN_ASSIGN_OR_RETURN(tensor.data, pool.Take(wire.payload_bytes));
  std::byte* to = tensor.data.data();
  for (const ByteSpan part : wire.payload) {
    if (part.empty()) continue;
    std::memcpy(to, part.data(), part.size());
    to += part.size();
  }
  return tensor;
}

absl::StatusOr<AttendResult> Decode(const grpc::ByteBuffer& buffer, BufferPool& pool) {
  ATTN_ASSIGN_OR_RETURN(const ReceivedMessage message, ReceivedMessage::Take(buffer));
  ATTN_ASSIGN_OR_RETURN(const WireMessage wire, SplitTensors(message.spans()));
  attention::v1::AttendResponse fields;
  if (!fields.ParseFromString(wire.small_fields)) {
    return absl::InvalidArgumentError("its small fields do not parse");
  }
  AttendResult result;
  result.selection = std::move(*fields.mutable_selection());
  result.metrics = std::move(*fields.mutable_metrics());
  for (const WireTensor& tensor : wire.tensors) {
    ATTN_ASSIGN_OR_RETURN(ReceivedTensor received, CopyTensor(tensor, pool));
    result.outputs.push_back(std::move(received));
  }
  return result;
}

}  // namespace

absl::Status CheckArguments(const AttendArguments& arguments) {
  if (arguments.request.tensors_size() > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("request.tensors: has ", arguments.request.tensors_size(),
                     " tensors; they belong in AttendArguments::tensors"));
  }
  for (const ClientTensor& tensor : arguments.tensors) {
    ATTN_RETURN_IF_ERROR(CheckPayload(absl::StrCat("tensor ", Quoted(tensor.name)), tensor.dtype,
                                      tensor.shape, static_cast<int64_t>(tensor.data.size())));
  }
  return absl::OkStatus();
}

grpc::ByteBuffer EncodeAttendRequest(const attention::v1::AttendRequest& request,
                                     const std::vector<ClientTensor>& tensors,
                                     std::shared_ptr<const void> owner) {
  std::vector<WireTensor> wire;
  wire.reserve(tensors.size());
  for (const ClientTensor& tensor : tensors) {
    WireTensor& to = wire.emplace_back();
    to.header.set_name(tensor.name);
    to.header.set_dtype(ToProto(tensor.dtype));
    to.header.mutable_shape()->Add(tensor.shape.begin(), tensor.shape.end());
    to.header.set_pattern(tensor.pattern);
    to.header.set_heads(tensor.heads);
    to.payload = {tensor.data};
    to.payload_bytes = static_cast<int64_t>(tensor.data.size());
  }
  return ToByteBuffer(JoinTensors(request, wire), std::move(owner));
}

absl::StatusOr<AttendResult> DecodeAttendResponse(const grpc::ByteBuffer& message,
                                                  BufferPool& pool) {
  absl::StatusOr<AttendResult> result = Decode(message, pool);
  // What is malformed here is the server's doing, not the caller's.
  if (absl::IsInvalidArgument(result.status())) {
    return absl::InternalError(
        absl::StrCat("the server sent a malformed response: ", result.status().message()));
  }
  return result;
}

}  // namespace attn
