// The life of one Attend call between the wire and the executor.
#ifndef ATTN_SERVER_SERVICES_ATTEND_REACTOR_H_
#define ATTN_SERVER_SERVICES_ATTEND_REACTOR_H_

#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "server/services/service_context.h"

namespace attn {

// Reads, validates, selects and submits on the calling gRPC thread, which computes and copies
// nothing; the reply is sent from an executor's worker. The reactor deletes itself.
grpc::ServerUnaryReactor* StartAttend(const ServiceContext& services,
                                      grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* request, grpc::ByteBuffer* response);

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_ATTEND_REACTOR_H_
