// Ends a small unary call.
#ifndef ATTN_SERVER_SERVICES_REPLY_H_
#define ATTN_SERVER_SERVICES_REPLY_H_

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "server/services/request_id.h"
#include "server/transport/status_mapping.h"

namespace attn {

inline grpc::ServerUnaryReactor* Reply(grpc::CallbackServerContext* context,
                                       const absl::Status& status) {
  EchoRequestId(ReadRequestId(*context), context);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_REPLY_H_
