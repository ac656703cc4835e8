// attention.v1.AdminService: thin callbacks over the policy state.
#ifndef ATTN_SERVER_SERVICES_ADMIN_SERVICE_H_
#define ATTN_SERVER_SERVICES_ADMIN_SERVICE_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proto/attention/v1/admin.grpc.pb.h"
#include "server/services/admin_guard.h"
#include "server/services/readiness.h"
#include "server/services/scope_stream.h"
#include "server/services/service_context.h"

namespace attn {

// Raw: who calls is asked before protobuf reads what a stranger sent.
using AdminCallbacks = attention::v1::AdminService::WithRawCallbackMethod_GetPolicy<
    attention::v1::AdminService::WithRawCallbackMethod_SetForcedOverride<
        attention::v1::AdminService::WithRawCallbackMethod_ClearForcedOverride<
            attention::v1::AdminService::WithRawCallbackMethod_HoldProcessScope<
                attention::v1::AdminService::WithRawCallbackMethod_QuarantineBackend<
                    attention::v1::AdminService::WithRawCallbackMethod_ReleaseBackend<
                        attention::v1::AdminService::WithRawCallbackMethod_SetLogLevel<
                            attention::v1::AdminService::Service>>>>>>>;

class AdminServiceImpl final : public AdminCallbacks {
 public:
  // Borrows all but the guard.
  AdminServiceImpl(const ServiceContext& services, ScopeStreams* scopes, const Readiness* readiness,
                   AdminGuard guard)
      : services_(services), scopes_(scopes), readiness_(readiness), guard_(std::move(guard)) {}

  grpc::ServerUnaryReactor* GetPolicy(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* SetForcedOverride(grpc::CallbackServerContext* context,
                                              const grpc::ByteBuffer* request,
                                              grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ClearForcedOverride(grpc::CallbackServerContext* context,
                                                const grpc::ByteBuffer* request,
                                                grpc::ByteBuffer* response) override;
  ScopeReactor* HoldProcessScope(grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* QuarantineBackend(grpc::CallbackServerContext* context,
                                              const grpc::ByteBuffer* request,
                                              grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ReleaseBackend(grpc::CallbackServerContext* context,
                                           const grpc::ByteBuffer* request,
                                           grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* SetLogLevel(grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override;

 private:
  // The way of every unary call: guard, read, `handle(request, response)`, write.
  template <typename Request, typename Response, typename Handle>
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer& request, grpc::ByteBuffer* response,
                                   Handle handle);

  // Once the change is in force.
  void Tell(absl::string_view message, ServiceContext::Fields fields) const;

  const ServiceContext& services_;
  ScopeStreams* const scopes_;
  const Readiness* const readiness_;
  const AdminGuard guard_;
};

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_ADMIN_SERVICE_H_
