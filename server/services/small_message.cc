#include "server/services/small_message.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "grpcpp/support/slice.h"
#include "server/transport/proto_conversion.h"

namespace attn {

absl::Status ReadSmallMessage(const grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  if (bytes.Length() > kMaxSmallMessageBytes) {
    return absl::InvalidArgumentError(absl::StrCat("the message has ", bytes.Length(),
                                                   " bytes, allowed for ", message->GetTypeName(),
                                                   ": ", kMaxSmallMessageBytes));
  }
  grpc::Slice slice;
  if (!bytes.DumpToSingleSlice(&slice).ok() ||
      !message->ParseFromArray(slice.begin(), static_cast<int>(slice.size()))) {
    return absl::InvalidArgumentError(absl::StrCat("the message is no ", message->GetTypeName()));
  }
  const std::string field = FindUnknownField(*message);
  if (field.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("unknown field ", field, "; the client is newer than this server"));
}

grpc::ByteBuffer WriteSmallMessage(const google::protobuf::Message& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace attn
