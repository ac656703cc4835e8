// attention.v1.AdminService: thin callbacks over the policy state.
#ifndef ATTN_SERVER_SERVICES_ADMIN_SERVICE_H_
#define ATTN_SERVER_SERVICES_ADMIN_SERVICE_H_

#include "proto/attention/v1/admin.grpc.pb.h"
#include "server/services/scope_stream.h"
#include "server/services/service_context.h"

namespace attn {

class AdminServiceImpl final : public attention::v1::AdminService::CallbackService {
 public:
  // Borrows both.
  AdminServiceImpl(const ServiceContext& services, ScopeStreams* scopes)
      : services_(services), scopes_(scopes) {}

  grpc::ServerUnaryReactor* GetPolicy(grpc::CallbackServerContext* context,
                                      const attention::v1::GetPolicyRequest* request,
                                      attention::v1::GetPolicyResponse* response) override;
  grpc::ServerUnaryReactor* SetForcedOverride(
      grpc::CallbackServerContext* context, const attention::v1::SetForcedOverrideRequest* request,
      attention::v1::SetForcedOverrideResponse* response) override;
  grpc::ServerUnaryReactor* ClearForcedOverride(
      grpc::CallbackServerContext* context,
      const attention::v1::ClearForcedOverrideRequest* request,
      attention::v1::ClearForcedOverrideResponse* response) override;
  ScopeReactor* HoldProcessScope(grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* QuarantineBackend(
      grpc::CallbackServerContext* context, const attention::v1::QuarantineBackendRequest* request,
      attention::v1::QuarantineBackendResponse* response) override;
  grpc::ServerUnaryReactor* ReleaseBackend(
      grpc::CallbackServerContext* context, const attention::v1::ReleaseBackendRequest* request,
      attention::v1::ReleaseBackendResponse* response) override;

 private:
  const ServiceContext& services_;
  ScopeStreams* const scopes_;
};

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_ADMIN_SERVICE_H_
