// Ends a small unary call.
#ifndef ATTN_SERVER_SERVICES_REPLY_H_
#define ATTN_SERVER_SERVICES_REPLY_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/message.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "server/transport/proto_conversion.h"
#include "server/transport/status_mapping.h"

namespace attn {

inline grpc::ServerUnaryReactor* Reply(grpc::CallbackServerContext* context,
                                       const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

// A request with a field that this server does not know is refused: it would be ignored.
inline absl::Status CheckKnownFields(const google::protobuf::Message& request) {
  const std::string field = FindUnknownField(request);
  if (field.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("unknown field ", field, "; the client is newer than this server"));
}

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_REPLY_H_
