#include "client/attention_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/attend_message.h"
#include "client/channel_security.h"
#include "client/channels.h"
#include "client/health_check.h"
#include "client/payload_loan.h"
#include "client/scope_stream.h"
#include "client/server_address.h"
#include "client/setting.h"
#include "client/unary_call.h"
#include "kernels/core/status_macros.h"
#include "proto/attention/v1/admin.grpc.pb.h"
#include "proto/attention/v1/attention.grpc.pb.h"

namespace attn {
namespace {

using attention::v1::AdminService;
using attention::v1::AttentionService;

constexpr char kAttendMethod[] = "/attention.v1.AttentionService/Attend";

// Memory kept for the outputs of later calls: two outputs of 256 MiB.
constexpr int64_t kMaxIdleOutputBytes = int64_t{512} << 20;

absl::Status CheckAddress(const Setting& address) {
  const absl::Status checked = CheckServerAddress(address.value);
  if (checked.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(address.source, ": ", checked.message()));
}

class GrpcAttentionClient final : public AttentionClient {
 public:
  GrpcAttentionClient(std::shared_ptr<Channels> calls, std::shared_ptr<Channels> admin,
                      const ClientOptions& options, std::string admin_token, std::string scope_id)
      : calls_(std::move(calls)),
        admin_(std::move(admin)),
        max_retries_(options.max_retries),
        control_timeout_(options.control_timeout),
        admin_token_(std::move(admin_token)),
        scope_id_(std::move(scope_id)) {}

  absl::StatusOr<AttendResult> Attend(const AttendArguments& arguments,
                                      const CallOptions& options) override;

  absl::StatusOr<attention::v1::ExplainResponse> Explain(
      const attention::v1::ExplainRequest& request) override {
    attention::v1::ExplainRequest filled = request;
    FillScope(*filled.mutable_call());
    return Read<attention::v1::ExplainResponse>(
        *calls_, [&](auto& channel, grpc::ClientContext* context, auto* response) {
          return AttentionService::NewStub(channel)->Explain(context, filled, response);
        });
  }

  absl::StatusOr<attention::v1::ListBackendsResponse> ListBackends() override {
    return Read<attention::v1::ListBackendsResponse>(
        *calls_, [](auto& channel, grpc::ClientContext* context, auto* response) {
          return AttentionService::NewStub(channel)->ListBackends(context, {}, response);
        });
  }

  absl::StatusOr<std::unique_ptr<HeldScope>> HoldScope(
      const attention::v1::HoldScopeRequest& request, bool process) override;

  absl::StatusOr<attention::v1::GetPolicyResponse> GetPolicy() override {
    return Read<attention::v1::GetPolicyResponse>(
        *admin_, [this](auto& channel, grpc::ClientContext* context, auto* response) {
          AddToken(context);
          return AdminService::NewStub(channel)->GetPolicy(context, {}, response);
        });
  }

  absl::StatusOr<std::string> SetForcedOverride(const std::string& backend) override;
  absl::StatusOr<std::string> ClearForcedOverride() override;
  absl::StatusOr<std::string> QuarantineBackend(const std::string& backend,
                                                const std::string& reason) override;
  absl::StatusOr<std::string> ReleaseBackend(const std::string& backend) override;
  absl::StatusOr<std::string> SetLogLevel(const std::string& level) override;

  absl::StatusOr<std::string> CheckHealth(const std::string& service) override {
    return CheckServiceHealth(*calls_, {control_timeout_, max_retries_}, service);
  }

 private:
  void FillScope(attention::v1::AttendRequest& request) const {
    if (request.scope_id().empty()) request.set_scope_id(scope_id_);
  }

  void AddToken(grpc::ClientContext* context) const {
    if (!admin_token_.empty()) context->AddMetadata("authorization", "Bearer " + admin_token_);
  }

  template <typename Response, typename Rpc>
  absl::StatusOr<Response> Run(Channels& channels, int max_retries, const Rpc& rpc) {
    Response response;
    ATTN_RETURN_IF_ERROR(
        RunUnary(channels, {control_timeout_, max_retries},
                 [&](const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext* context) {
                   return rpc(channel, context, &response);
                 }));
    return response;
  }

  // A call without side effects may be repeated.
  template <typename Response, typename Rpc>
  absl::StatusOr<Response> Read(Channels& channels, const Rpc& rpc) {
    return Run<Response>(channels, max_retries_, rpc);
  }

  // One that changes the server's state may not: the first attempt might have arrived.
  template <typename Response, typename Rpc>
  absl::StatusOr<Response> Change(const Rpc& rpc) {
    return Run<Response>(*admin_, 0, [&](auto& channel, grpc::ClientContext* context, auto* to) {
      AddToken(context);
      return rpc(channel, context, to);
    });
  }

  const std::shared_ptr<Channels> calls_;
  const std::shared_ptr<Channels> admin_;
  const int max_retries_;
  const absl::Duration control_timeout_;
  const std::string admin_token_;  // May be empty.
  const std::string scope_id_;     // Of ATTN_SCOPE; may be empty.
  BufferPool pool_{kMaxIdleOutputBytes};
};

absl::StatusOr<AttendResult> GrpcAttentionClient::Attend(const AttendArguments& arguments,
                                                         const CallOptions& options) {
  const absl::Time start = absl::Now();
  ATTN_RETURN_IF_ERROR(CheckArguments(arguments));
  attention::v1::AttendRequest fields = arguments.request;
  FillScope(fields);

  grpc::ByteBuffer response;
  std::unique_ptr<PayloadLoan> loan;  // Of the attempt in hand.
  const auto attempt = [&](const std::shared_ptr<grpc::Channel>& channel,
                           grpc::ClientContext* context) {
    loan = std::make_unique<PayloadLoan>();
    const grpc::ByteBuffer request =
        EncodeAttendRequest(fields, arguments.tensors, loan->TakeOwner());
    return CallRaw(channel, context, kAttendMethod, request, &response);
  };
  const auto wait_for_payload = [&] { loan->WaitReturned(); };
  ATTN_RETURN_IF_ERROR(RunUnary(*calls_, {options.timeout, max_retries_, options.cancel}, attempt,
                                wait_for_payload));

  const absl::Time arrived = absl::Now();
  ATTN_ASSIGN_OR_RETURN(AttendResult result, DecodeAttendResponse(response, pool_));
  const absl::Time end = absl::Now();
  result.client_total = end - start;
  result.client_decode = end - arrived;
  return result;
}

absl::StatusOr<std::unique_ptr<HeldScope>> GrpcAttentionClient::HoldScope(
    const attention::v1::HoldScopeRequest& request, bool process) {
  Channels& channels = process ? *admin_ : *calls_;
  const std::shared_ptr<grpc::Channel> channel = channels.Next();
  return ScopeStream::Open(
      channel, channels.address(), control_timeout_, request,
      [&](grpc::ClientContext* context, ScopeStream* reactor) {
        if (process) {
          AddToken(context);
          AdminService::NewStub(channel)->async()->HoldProcessScope(context, reactor);
        } else {
          AttentionService::NewStub(channel)->async()->HoldScope(context, reactor);
        }
      });
}

absl::StatusOr<std::string> GrpcAttentionClient::SetForcedOverride(const std::string& backend) {
  attention::v1::SetForcedOverrideRequest request;
  request.set_backend(backend);
  ATTN_ASSIGN_OR_RETURN(const attention::v1::SetForcedOverrideResponse response,
                        Change<attention::v1::SetForcedOverrideResponse>(
                            [&](auto& channel, grpc::ClientContext* context, auto* to) {
                              return AdminService::NewStub(channel)->SetForcedOverride(context,
                                                                                       request, to);
                            }));
  return response.previous_backend();
}

absl::StatusOr<std::string> GrpcAttentionClient::ClearForcedOverride() {
  ATTN_ASSIGN_OR_RETURN(const attention::v1::ClearForcedOverrideResponse response,
                        Change<attention::v1::ClearForcedOverrideResponse>(
                            [&](auto& channel, grpc::ClientContext* context, auto* to) {
                              return AdminService::NewStub(channel)->ClearForcedOverride(context,
                                                                                         {}, to);
                            }));
  return response.previous_backend();
}

absl::StatusOr<std::string> GrpcAttentionClient::QuarantineBackend(const std::string& backend,
                                                                   const std::string& reason) {
  attention::v1::QuarantineBackendRequest request;
  request.set_backend(backend);
  request.set_reason(reason);
  ATTN_ASSIGN_OR_RETURN(const attention::v1::QuarantineBackendResponse response,
                        Change<attention::v1::QuarantineBackendResponse>(
                            [&](auto& channel, grpc::ClientContext* context, auto* to) {
                              return AdminService::NewStub(channel)->QuarantineBackend(context,
                                                                                       request, to);
                            }));
  return response.backend();
}

absl::StatusOr<std::string> GrpcAttentionClient::ReleaseBackend(const std::string& backend) {
  attention::v1::ReleaseBackendRequest request;
  request.set_backend(backend);
  ATTN_ASSIGN_OR_RETURN(const attention::v1::ReleaseBackendResponse response,
                        Change<attention::v1::ReleaseBackendResponse>(
                            [&](auto& channel, grpc::ClientContext* context, auto* to) {
                              return AdminService::NewStub(channel)->ReleaseBackend(context,
                                                                                    request, to);
                            }));
  return response.backend();
}

absl::StatusOr<std::string> GrpcAttentionClient::SetLogLevel(const std::string& level) {
  attention::v1::SetLogLevelRequest request;
  request.set_level(level);
  ATTN_ASSIGN_OR_RETURN(const attention::v1::SetLogLevelResponse response,
                        Change<attention::v1::SetLogLevelResponse>(
                            [&](auto& channel, grpc::ClientContext* context, auto* to) {
                              return AdminService::NewStub(channel)->SetLogLevel(context, request,
                                                                                 to);
                            }));
  return response.previous_level();
}

}  // namespace

const ReceivedTensor* AttendResult::Find(absl::string_view name) const {
  for (const ReceivedTensor& tensor : outputs) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

absl::StatusOr<std::unique_ptr<AttentionClient>> AttentionClient::Create(
    const ClientOptions& options) {
  if (options.connections < 1 || options.connections > kMaxConnections) {
    return absl::InvalidArgumentError(
        absl::StrCat("connections: ", options.connections, "; allowed: 1 to ", kMaxConnections));
  }
  if (options.max_retries < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_retries: ", options.max_retries, "; allowed: 0 or more"));
  }
  const Setting server = ReadSetting("server", options.server, "ATTN_SERVER", kDefaultServer);
  const Setting admin =
      ReadSetting("admin_server", options.admin_server, "ATTN_ADMIN_SERVER", server.value);
  ATTN_RETURN_IF_ERROR(CheckAddress(server));
  ATTN_RETURN_IF_ERROR(CheckAddress(admin));

  ATTN_ASSIGN_OR_RETURN(const ChannelSecurity security, ReadChannelSecurity(options.tls));
  ATTN_ASSIGN_OR_RETURN(std::string admin_token, ReadAdminToken(options.admin_token));

  auto calls = std::make_shared<Channels>(server.value, options.connections, security);
  auto admin_channels =
      admin.value == server.value ? calls : std::make_shared<Channels>(admin.value, 1, security);
  const Setting scope = ReadSetting("scope_id", "", "ATTN_SCOPE");
  return std::make_unique<GrpcAttentionClient>(std::move(calls), std::move(admin_channels), options,
                                               std::move(admin_token), scope.value);
}

}  // namespace attn
