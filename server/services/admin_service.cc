#include "server/services/admin_service.h"

#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "kernels/core/status_macros.h"
#include "server/policy/selection.h"
#include "server/services/reply.h"

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

// Runs `change`, whose result is a name, and writes it with `set`.
template <typename Request, typename Change, typename Set>
grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const Request& request,
                                 Change change, Set set) {
  if (const absl::Status status = CheckKnownFields(request); !status.ok()) {
    return Reply(context, status);
  }
  const absl::StatusOr<std::string> name = change();
  if (name.ok()) set(*name);
  return Reply(context, name.status());
}

}  // namespace

grpc::ServerUnaryReactor* AdminServiceImpl::GetPolicy(grpc::CallbackServerContext* context,
                                                      const v1::GetPolicyRequest* request,
                                                      v1::GetPolicyResponse* response) {
  if (const absl::Status status = CheckKnownFields(*request); !status.ok()) {
    return Reply(context, status);
  }
  ToProto(*services_.policy->Snapshot(), *services_.registry, absl::Now(), response);
  response->set_draining(services_.executor->draining());
  return Reply(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* AdminServiceImpl::SetForcedOverride(
    grpc::CallbackServerContext* context, const v1::SetForcedOverrideRequest* request,
    v1::SetForcedOverrideResponse* response) {
  return Answer(
      context, *request,
      [&]() -> absl::StatusOr<std::string> {
        ATTN_RETURN_IF_ERROR(CheckInBuild(request->backend(), *services_.registry));
        return services_.policy->SetForced(request->backend());
      },
      [&](const std::string& previous) { response->set_previous_backend(previous); });
}

grpc::ServerUnaryReactor* AdminServiceImpl::ClearForcedOverride(
    grpc::CallbackServerContext* context, const v1::ClearForcedOverrideRequest* request,
    v1::ClearForcedOverrideResponse* response) {
  return Answer(
      context, *request, [&] { return services_.policy->ClearForced(); },
      [&](const std::string& previous) { response->set_previous_backend(previous); });
}

ScopeReactor* AdminServiceImpl::HoldProcessScope(grpc::CallbackServerContext* /*context*/) {
  return scopes_->Start(ScopeKind::kProcess);
}

grpc::ServerUnaryReactor* AdminServiceImpl::QuarantineBackend(
    grpc::CallbackServerContext* context, const v1::QuarantineBackendRequest* request,
    v1::QuarantineBackendResponse* response) {
  return Answer(
      context, *request,
      [&] {
        return services_.policy->QuarantineBackend(request->backend(), request->reason(),
                                                   /*automatic=*/false);
      },
      [&](const std::string& canonical) { response->set_backend(canonical); });
}

grpc::ServerUnaryReactor* AdminServiceImpl::ReleaseBackend(grpc::CallbackServerContext* context,
                                                           const v1::ReleaseBackendRequest* request,
                                                           v1::ReleaseBackendResponse* response) {
  return Answer(
      context, *request, [&] { return services_.policy->ReleaseBackend(request->backend()); },
      [&](const std::string& canonical) { response->set_backend(canonical); });
}

}  // namespace attn
