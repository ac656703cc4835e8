// attention.v1.AttentionService: thin callbacks over the policy and the executor.
#ifndef ATTN_SERVER_SERVICES_ATTENTION_SERVICE_H_
#define ATTN_SERVER_SERVICES_ATTENTION_SERVICE_H_

#include "proto/attention/v1/attention.grpc.pb.h"
#include "server/services/scope_stream.h"
#include "server/services/service_context.h"

namespace attn {

// Raw: protobuf never sees a payload, and never more small fields and tensors than wire_tensors.h
// and small_message.h bound.
using AttentionCallbacks = attention::v1::AttentionService::WithRawCallbackMethod_Attend<
    attention::v1::AttentionService::WithRawCallbackMethod_ListBackends<
        attention::v1::AttentionService::WithRawCallbackMethod_Explain<
            attention::v1::AttentionService::WithRawCallbackMethod_HoldScope<
                attention::v1::AttentionService::Service>>>>;

class AttentionServiceImpl final : public AttentionCallbacks {
 public:
  // Borrows both.
  AttentionServiceImpl(const ServiceContext& services, ScopeStreams* scopes)
      : services_(services), scopes_(scopes) {}

  grpc::ServerUnaryReactor* Attend(grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ListBackends(grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Explain(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override;
  ScopeReactor* HoldScope(grpc::CallbackServerContext* context) override;

 private:
  const ServiceContext& services_;
  ScopeStreams* const scopes_;
};

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_ATTENTION_SERVICE_H_
