#include "server/services/attention_service.h"

#include <string>
#include <utility>
#include <vector>

#include "kernels/core/status_macros.h"
#include "server/policy/selection.h"
#include "server/services/attend_reactor.h"
#include "server/services/parsed_call.h"
#include "server/services/reply.h"
#include "server/services/selection_proto.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

// The tensors of a message that protobuf parsed, as the wire reader would have given them.
std::vector<WireTensor> BorrowTensors(const v1::AttendRequest& call) {
  std::vector<WireTensor> tensors;
  for (const v1::Tensor& tensor : call.tensors()) {
    WireTensor wire;
    wire.header = tensor;
    wire.header.clear_data();
    wire.payload_bytes = static_cast<int64_t>(tensor.data().size());
    tensors.push_back(std::move(wire));
  }
  return tensors;
}

absl::StatusOr<Selection> ExplainCall(const ServiceContext& services,
                                      const v1::AttendRequest& call) {
  v1::AttendRequest fields = call;
  fields.clear_tensors();
  ATTN_ASSIGN_OR_RETURN(const ParsedCall parsed,
                        ParseCall(fields, BorrowTensors(call), PayloadRule::kOptional));
  return Explain(*services.policy->Snapshot(), *services.registry, parsed.selection,
                 parsed.problem);
}

}  // namespace

grpc::ServerUnaryReactor* AttentionServiceImpl::Attend(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request,
                                                       grpc::ByteBuffer* response) {
  return StartAttend(services_, context, request, response);
}

grpc::ServerUnaryReactor* AttentionServiceImpl::ListBackends(grpc::CallbackServerContext* context,
                                                             const v1::ListBackendsRequest* request,
                                                             v1::ListBackendsResponse* response) {
  if (const absl::Status status = CheckKnownFields(*request); !status.ok()) {
    return Reply(context, status);
  }
  ToProto(*services_.registry, *services_.policy->Snapshot(), response);
  return Reply(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* AttentionServiceImpl::Explain(grpc::CallbackServerContext* context,
                                                        const v1::ExplainRequest* request,
                                                        v1::ExplainResponse* response) {
  if (const absl::Status status = CheckKnownFields(*request); !status.ok()) {
    return Reply(context, status);
  }
  if (!request->has_call()) {
    return Reply(context, absl::InvalidArgumentError("call: missing"));
  }
  const absl::StatusOr<Selection> selection = ExplainCall(services_, request->call());
  if (selection.ok()) {
    ToProto(*selection, response->mutable_selection());
  } else {
    response->set_error_code(static_cast<int>(selection.status().code()));
    response->set_error_message(std::string(selection.status().message()));
  }
  return Reply(context, absl::OkStatus());
}

ScopeReactor* AttentionServiceImpl::HoldScope(grpc::CallbackServerContext* /*context*/) {
  return scopes_->Start(ScopeKind::kCalls);
}

}  // namespace attn
