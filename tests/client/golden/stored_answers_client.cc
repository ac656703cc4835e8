#include "tests/client/golden/stored_answers_client.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "client/cli/case_request.h"
#include "client/golden/tensor_convert.h"
#include "google/protobuf/util/message_differencer.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

absl::Status NotPlayed() { return absl::InternalError("not part of this test"); }

absl::StatusOr<ReceivedTensor> Received(const std::string& name, const FileTensor& stored,
                                        DType dtype) {
  AlignedBuffer converted;
  FileTensor tensor = stored;
  if (dtype != stored.dtype) {
    ATTN_ASSIGN_OR_RETURN(converted, ConvertFloats(stored, dtype));
    tensor.dtype = dtype;
    tensor.data = {converted.data(), static_cast<size_t>(converted.size())};
  }
  BufferPool pool(/*max_idle_bytes=*/0);
  ReceivedTensor received{.name = name, .dtype = dtype, .shape = tensor.shape};
  ATTN_ASSIGN_OR_RETURN(received.data, pool.Take(static_cast<int64_t>(tensor.data.size())));
  std::copy(tensor.data.begin(), tensor.data.end(), received.data.data());
  return received;
}

}  // namespace

bool StoredAnswersClient::IsCall(const AttendArguments& arguments, const std::string& prefix,
                                 const OptionMap& changed) const {
  return IsCallWith(cli::MaskForm::kExpression, arguments, prefix, changed) ||
         IsCallWith(cli::MaskForm::kTensor, arguments, prefix, changed);
}

bool StoredAnswersClient::IsCallWith(cli::MaskForm form, const AttendArguments& arguments,
                                     const std::string& prefix, const OptionMap& changed) const {
  const DType sent = arguments.tensors.front().dtype;
  absl::StatusOr<cli::CaseRequest> call = cli::MakeCaseRequest(case_, prefix, changed, sent, form);
  if (!call.ok()) return false;
  attention::v1::AttendRequest& request = call->arguments.request;
  request.set_backend(arguments.request.backend());
  *request.mutable_outputs() = arguments.request.outputs();
  return google::protobuf::util::MessageDifferencer::Equals(request, arguments.request) &&
         std::equal(call->arguments.tensors.begin(), call->arguments.tensors.end(),
                    arguments.tensors.begin(), arguments.tensors.end(),
                    [](const ClientTensor& a, const ClientTensor& b) {
                      return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape &&
                             a.pattern == b.pattern && a.heads == b.heads &&
                             std::ranges::equal(a.data, b.data);
                    });
}

absl::StatusOr<AttendResult> StoredAnswersClient::Attend(const AttendArguments& arguments,
                                                         const CallOptions&) {
  requests.push_back(arguments.request);
  dtypes.emplace_back();
  for (const ClientTensor& tensor : arguments.tensors) dtypes.back().push_back(tensor.dtype);
  const attention::v1::Outputs& wanted = arguments.request.outputs();
  AttendResult result;
  const std::string& asked = arguments.request.backend();
  result.selection.set_backend(asked == "auto" ? "flash" : asked);
  result.selection.set_rule(asked == "auto" ? attention::v1::RULE_AUTOMATIC
                                            : attention::v1::RULE_CALL);
  for (const std::string& prefix : case_.prefixes) {
    for (const Expectation& expectation : case_.expected) {
      if (!IsCall(arguments, prefix, expectation.with)) continue;
      const std::string& output = expectation.output;
      const bool asked_for =
          (output == "lse" && wanted.lse()) || (output == "weights" && wanted.weights()) ||
          (output == "plan" && wanted.plan()) || output == "out" || output == "replicated_out";
      const std::string name = output == "plan" ? "plan_levels" : output;
      if (!asked_for || result.Find(name) != nullptr) continue;
      const FileTensor* stored = case_.Find(prefix, expectation.tensor);
      const bool operand_dtype = output == "out" || output == "replicated_out";
      ATTN_ASSIGN_OR_RETURN(
          ReceivedTensor received,
          Received(name, *stored, operand_dtype ? arguments.tensors.front().dtype : stored->dtype));
      result.outputs.push_back(std::move(received));
    }
    if (!result.outputs.empty()) break;
  }
  if (result.outputs.empty()) return absl::InvalidArgumentError("no call of this case");
  if (tamper) tamper(result);
  return result;
}

absl::StatusOr<attention::v1::ExplainResponse> StoredAnswersClient::Explain(
    const attention::v1::ExplainRequest&) {
  return NotPlayed();
}
absl::StatusOr<attention::v1::ListBackendsResponse> StoredAnswersClient::ListBackends() {
  return NotPlayed();
}
absl::StatusOr<std::unique_ptr<HeldScope>> StoredAnswersClient::HoldScope(
    const attention::v1::HoldScopeRequest&, bool) {
  return NotPlayed();
}
absl::StatusOr<attention::v1::GetPolicyResponse> StoredAnswersClient::GetPolicy() {
  return NotPlayed();
}
absl::StatusOr<std::string> StoredAnswersClient::SetForcedOverride(const std::string&) {
  return NotPlayed();
}
absl::StatusOr<std::string> StoredAnswersClient::ClearForcedOverride() { return NotPlayed(); }
absl::StatusOr<std::string> StoredAnswersClient::QuarantineBackend(const std::string&,
                                                                   const std::string&) {
  return NotPlayed();
}
absl::StatusOr<std::string> StoredAnswersClient::ReleaseBackend(const std::string&) {
  return NotPlayed();
}
absl::StatusOr<std::string> StoredAnswersClient::SetLogLevel(const std::string&) {
  return NotPlayed();
}
absl::StatusOr<std::string> StoredAnswersClient::CheckHealth(const std::string&) {
  return NotPlayed();
}

}  // namespace attn
