#include "server/services/admin_service.h"

#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "kernels/core/status_macros.h"
#include "server/policy/selection.h"
#include "server/services/reply.h"
#include "server/services/small_message.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

void ToProto(const Scope& scope, absl::Time now, v1::Scope* to) {
  to->set_scope_id(scope.id);
  to->set_process(scope.kind == ScopeKind::kProcess);
  to->set_backend(scope.requested);
  to->set_holder(scope.holder);
  to->set_age_ms(absl::ToInt64Milliseconds(now - scope.opened));
  to->set_time_left_ms(absl::ToInt64Milliseconds(scope.expires - now));
}

void ToProto(const PolicySnapshot& policy, const Registry& registry, absl::Time now,
             v1::GetPolicyResponse* to) {
  if (policy.forced) to->set_forced_backend(policy.forced->requested);
  if (policy.environment) to->set_environment_backend(policy.environment->requested);
  for (const Scope& scope : policy.scopes) ToProto(scope, now, to->add_scopes());
  for (const auto& [backend, record] : policy.quarantined) {
    v1::Quarantine* quarantine = to->add_quarantines();
    quarantine->set_backend(backend);
    quarantine->set_reason(record.reason);
    quarantine->set_automatic(record.automatic);
  }
  for (const Backend* backend : registry.backends()) {
    to->add_automatic_order(backend->info().name);
  }
  for (const auto& [model, presets] : policy.presets->models()) {
    for (const auto& [name, preset] : presets.presets) to->add_presets(model + "/" + name);
  }
}

}  // namespace

template <typename Request, typename Response, typename Handle>
grpc::ServerUnaryReactor* AdminServiceImpl::Answer(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer& request,
                                                   grpc::ByteBuffer* response, Handle handle) {
  Request fields;
  Response answer;
  absl::Status status = guard_.Check(*context);
  if (status.ok()) status = ReadSmallMessage(request, &fields);
  if (status.ok()) status = handle(fields, answer);
  if (status.ok()) *response = WriteSmallMessage(answer);
  return Reply(context, status);
}

void AdminServiceImpl::Tell(absl::string_view message, ServiceContext::Fields fields) const {
  if (services_.on_policy_change) services_.on_policy_change(message, fields);
}

grpc::ServerUnaryReactor* AdminServiceImpl::GetPolicy(grpc::CallbackServerContext* context,
                                                      const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) {
  return Answer<v1::GetPolicyRequest, v1::GetPolicyResponse>(
      context, *request, response, [this](const auto& /*fields*/, v1::GetPolicyResponse& answer) {
        ToProto(*services_.policy->Snapshot(), *services_.registry, absl::Now(), &answer);
        answer.set_draining(readiness_->draining());
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* AdminServiceImpl::SetForcedOverride(grpc::CallbackServerContext* context,
                                                              const grpc::ByteBuffer* request,
                                                              grpc::ByteBuffer* response) {
  using Request = v1::SetForcedOverrideRequest;
  using Response = v1::SetForcedOverrideResponse;
  return Answer<Request, Response>(
      context, *request, response, [this](const Request& fields, Response& answer) -> absl::Status {
        ATTN_RETURN_IF_ERROR(CheckInBuild(fields.backend(), *services_.registry));
        ATTN_ASSIGN_OR_RETURN(*answer.mutable_previous_backend(),
                              services_.policy->SetForced(fields.backend()));
        Tell("backend forced by an operator",
             {{"backend", fields.backend()}, {"previous", answer.previous_backend()}});
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* AdminServiceImpl::ClearForcedOverride(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  using Response = v1::ClearForcedOverrideResponse;
  return Answer<v1::ClearForcedOverrideRequest, Response>(
      context, *request, response,
      [this](const auto& /*fields*/, Response& answer) -> absl::Status {
        ATTN_ASSIGN_OR_RETURN(*answer.mutable_previous_backend(), services_.policy->ClearForced());
        Tell("forced backend cleared by an operator", {{"previous", answer.previous_backend()}});
        return absl::OkStatus();
      });
}

ScopeReactor* AdminServiceImpl::HoldProcessScope(grpc::CallbackServerContext* context) {
  const absl::Status status = guard_.Check(*context);
  return status.ok() ? scopes_->Start(ScopeKind::kProcess) : ScopeStreams::Refuse(status);
}

grpc::ServerUnaryReactor* AdminServiceImpl::QuarantineBackend(grpc::CallbackServerContext* context,
                                                              const grpc::ByteBuffer* request,
                                                              grpc::ByteBuffer* response) {
  using Request = v1::QuarantineBackendRequest;
  using Response = v1::QuarantineBackendResponse;
  return Answer<Request, Response>(
      context, *request, response, [this](const Request& fields, Response& answer) -> absl::Status {
        ATTN_ASSIGN_OR_RETURN(*answer.mutable_backend(),
                              services_.policy->QuarantineBackend(fields.backend(), fields.reason(),
                                                                  /*automatic=*/false));
        Tell("backend quarantined by an operator",
             {{"backend", answer.backend()}, {"reason", fields.reason()}});
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* AdminServiceImpl::ReleaseBackend(grpc::CallbackServerContext* context,
                                                           const grpc::ByteBuffer* request,
                                                           grpc::ByteBuffer* response) {
  using Request = v1::ReleaseBackendRequest;
  using Response = v1::ReleaseBackendResponse;
  return Answer<Request, Response>(
      context, *request, response, [this](const Request& fields, Response& answer) -> absl::Status {
        ATTN_ASSIGN_OR_RETURN(*answer.mutable_backend(),
                              services_.policy->ReleaseBackend(fields.backend()));
        Tell("backend released by an operator", {{"backend", answer.backend()}});
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* AdminServiceImpl::SetLogLevel(grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request,
                                                        grpc::ByteBuffer* response) {
  using Request = v1::SetLogLevelRequest;
  using Response = v1::SetLogLevelResponse;
  return Answer<Request, Response>(context, *request, response,
                                   [this](const Request& fields, Response& answer) -> absl::Status {
                                     if (services_.set_log_level == nullptr) {
                                       return absl::UnimplementedError("this server keeps no log");
                                     }
                                     ATTN_ASSIGN_OR_RETURN(*answer.mutable_previous_level(),
                                                           services_.set_log_level(fields.level()));
                                     return absl::OkStatus();
                                   });
}

}  // namespace attn
