#include "server/services/attention_service.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/core/status_macros.h"
#include "server/policy/selection.h"
#include "server/services/attend_reactor.h"
#include "server/services/parsed_call.h"
#include "server/services/reply.h"
#include "server/services/selection_proto.h"
#include "server/services/small_message.h"
#include "server/transport/byte_buffer.h"
#include "server/transport/wire_envelope.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

// An ExplainRequest's call, payloads left out of account.
absl::StatusOr<ParsedCall> ReadCall(const ServiceContext& services,
                                    const ReceivedMessage& message) {
  ATTN_ASSIGN_OR_RETURN(const std::vector<ByteSpan> call,
                        OpenEnvelope(message.spans(), v1::ExplainRequest::kCallFieldNumber));
  ATTN_ASSIGN_OR_RETURN(WireMessage wire, SplitTensors(call));
  v1::AttendRequest fields;
  if (!fields.ParseFromString(wire.small_fields)) {
    return absl::InvalidArgumentError(absl::StrCat("call: ", kUnreadable));
  }
  return ParseCall(fields, std::move(wire.tensors), PayloadRule::kOptional,
                   services.registry->mask_functions());
}

// The inner error is what Attend would answer; the outer one that the request cannot be read.
absl::StatusOr<v1::ExplainResponse> ExplainCall(const ServiceContext& services,
                                                const grpc::ByteBuffer& request) {
  ATTN_ASSIGN_OR_RETURN(const ReceivedMessage message, ReceivedMessage::Take(request));
  v1::ExplainResponse response;
  const absl::StatusOr<ParsedCall> call = ReadCall(services, message);
  absl::Status status = call.status();
  if (call.ok()) {
    const Explanation explanation =
        Explain(*services.policy->Snapshot(), *services.registry, call->selection, call->problem);
    ToProto(explanation.selection, response.mutable_selection());
    status = explanation.status;
  }
  response.set_error_code(static_cast<int>(status.code()));
  response.set_error_message(std::string(status.message()));
  return response;
}

}  // namespace

grpc::ServerUnaryReactor* AttentionServiceImpl::Attend(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request,
                                                       grpc::ByteBuffer* response) {
  return StartAttend(services_, context, request, response);
}

grpc::ServerUnaryReactor* AttentionServiceImpl::ListBackends(grpc::CallbackServerContext* context,
                                                             const grpc::ByteBuffer* request,
                                                             grpc::ByteBuffer* response) {
  v1::ListBackendsRequest fields;
  if (const absl::Status status = ReadSmallMessage(*request, &fields); !status.ok()) {
    return Reply(context, status);
  }
  v1::ListBackendsResponse answer;
  ToProto(*services_.registry, *services_.policy->Snapshot(), &answer);
  answer.set_server_version(services_.version);
  *response = WriteSmallMessage(answer);
  return Reply(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* AttentionServiceImpl::Explain(grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request,
                                                        grpc::ByteBuffer* response) {
  const absl::StatusOr<v1::ExplainResponse> explained = ExplainCall(services_, *request);
  if (!explained.ok()) return Reply(context, explained.status());
  *response = WriteSmallMessage(*explained);
  return Reply(context, absl::OkStatus());
}

ScopeReactor* AttentionServiceImpl::HoldScope(grpc::CallbackServerContext* /*context*/) {
  return scopes_->Start(ScopeKind::kCalls);
}

}  // namespace attn
