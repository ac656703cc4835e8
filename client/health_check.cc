#include "client/health_check.h"

#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/wire_format_lite.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/slice.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

using google::protobuf::internal::WireFormatLite;

constexpr char kCheckMethod[] = "/grpc.health.v1.Health/Check";

// HealthCheckRequest { string service = 1; } and HealthCheckResponse { ServingStatus status = 1; }
constexpr uint32_t kServiceTag = (1 << 3) | WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
constexpr uint32_t kStatusTag = (1 << 3) | WireFormatLite::WIRETYPE_VARINT;

grpc::ByteBuffer EncodeRequest(absl::string_view service) {
  std::string message;
  {
    google::protobuf::io::StringOutputStream stream(&message);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.WriteTag(kServiceTag);
    coded.WriteVarint32(static_cast<uint32_t>(service.size()));
    coded.WriteString(std::string(service));
  }
  const grpc::Slice slice(message);
  return grpc::ByteBuffer(&slice, 1);
}

absl::StatusOr<std::string> DecodeResponse(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  if (!buffer.DumpToSingleSlice(&slice).ok()) {
    return absl::InternalError("the server's health answer cannot be read");
  }
  google::protobuf::io::CodedInputStream coded(slice.begin(), static_cast<int>(slice.size()));
  uint64_t status = 0;
  while (const uint32_t tag = coded.ReadTag()) {
    const bool read =
        tag == kStatusTag ? coded.ReadVarint64(&status) : WireFormatLite::SkipField(&coded, tag);
    if (!read) return absl::InternalError("the server's health answer is malformed");
  }
  constexpr const char* kNames[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
  if (status >= std::size(kNames)) {
    return absl::InternalError(absl::StrCat("the server's health answer is ", status,
                                            ", which grpc.health.v1 does not know"));
  }
  return kNames[status];
}

}  // namespace

absl::StatusOr<std::string> CheckServiceHealth(Channels& channels, const UnaryOptions& options,
                                               absl::string_view service) {
  const grpc::ByteBuffer request = EncodeRequest(service);
  grpc::ByteBuffer response;
  ATTN_RETURN_IF_ERROR(
      RunUnary(channels, options,
               [&](const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext* context) {
                 return CallRaw(channel, context, kCheckMethod, request, &response);
               }));
  return DecodeResponse(response);
}

}  // namespace attn
