// A client without a server: answers the calls of one golden case with the outputs that its file
// stores.
#ifndef ATTN_TESTS_CLIENT_GOLDEN_STORED_ANSWERS_CLIENT_H_
#define ATTN_TESTS_CLIENT_GOLDEN_STORED_ANSWERS_CLIENT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/attention_client.h"
#include "client/cli/case_request.h"
#include "client/golden/golden_case.h"

namespace attn {

class StoredAnswersClient : public AttentionClient {
 public:
  explicit StoredAnswersClient(const GoldenCase& golden_case) : case_(golden_case) {}

  // Changes a response before it is handed out.
  std::function<void(AttendResult&)> tamper;
  // The calls that were made.
  std::vector<attention::v1::AttendRequest> requests;
  std::vector<std::vector<DType>> dtypes;  // Of their tensors.

  // INVALID_ARGUMENT if the call is none of the case's. `out` comes in q's dtype, as a server's.
  absl::StatusOr<AttendResult> Attend(const AttendArguments& arguments,
                                      const CallOptions& options) override;

  absl::StatusOr<attention::v1::ExplainResponse> Explain(
      const attention::v1::ExplainRequest& request) override;
  absl::StatusOr<attention::v1::ListBackendsResponse> ListBackends() override;
  absl::StatusOr<std::unique_ptr<HeldScope>> HoldScope(
      const attention::v1::HoldScopeRequest& request, bool process) override;
  absl::StatusOr<attention::v1::GetPolicyResponse> GetPolicy() override;
  absl::StatusOr<std::string> SetForcedOverride(const std::string& backend) override;
  absl::StatusOr<std::string> ClearForcedOverride() override;
  absl::StatusOr<std::string> QuarantineBackend(const std::string& backend,
                                                const std::string& reason) override;
  absl::StatusOr<std::string> ReleaseBackend(const std::string& backend) override;
  absl::StatusOr<std::string> SetLogLevel(const std::string& level) override;
  absl::StatusOr<std::string> CheckHealth(const std::string& service) override;

 private:
  // True if the case asks for this call with this prefix and these changed options.
  bool IsCall(const AttendArguments& arguments, const std::string& prefix,
              const OptionMap& changed) const;
  bool IsCallWith(cli::MaskForm form, const AttendArguments& arguments, const std::string& prefix,
                  const OptionMap& changed) const;

  const GoldenCase& case_;
};

}  // namespace attn

#endif  // ATTN_TESTS_CLIENT_GOLDEN_STORED_ANSWERS_CLIENT_H_
