#include "client/cli/call_check.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/format.h"
#include "client/named_tensors.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

constexpr char kOracle[] = "eager";

// rel-L2 that exact attention may show where its inputs or its output have this dtype. In 16 bits
// the probabilities and the output are each rounded once, by at most half of Epsilon: 9.8e-4 of
// fp16 and 7.8e-3 of bf16 together, and a little for the sums. In fp32 the sums' own error is some
// 3e-7; 1e-5 leaves room for logits up to a hundred, of which the exponential keeps five digits.
double DefaultLimit(DType dtype) {
  switch (dtype) {
    case DType::kFloat16:
      return 2e-3;
    case DType::kBFloat16:
      return 1e-2;
    default:
      return 1e-5;
  }
}

// The coarser of what went in and what came out.
double DefaultLimit(const AttendArguments& arguments, DType out_dtype) {
  double limit = DefaultLimit(out_dtype);
  for (const ClientTensor& tensor : arguments.tensors) {
    if (tensor.name == "q") limit = std::max(limit, DefaultLimit(tensor.dtype));
  }
  return limit;
}

FileTensor View(const ReceivedTensor& tensor) {
  return {.dtype = tensor.dtype,
          .shape = tensor.shape,
          .data = {tensor.data.data(), static_cast<size_t>(tensor.data.size())}};
}

// The same question to the oracle. What steers selection, and the options of another backend with
// the tensors that they name, would be refused by it; what is exact does not depend on them.
AttendArguments OracleArguments(const AttendArguments& arguments, const std::string& scope_id) {
  AttendArguments oracle = arguments;
  attention::v1::AttendRequest& request = oracle.request;
  request.set_scope_id(scope_id);
  request.clear_backend();
  request.clear_model();
  request.clear_preset();
  request.clear_allowed_backends();
  request.clear_allow_fallback();
  request.clear_allow_approximate();
  request.clear_options();
  request.mutable_outputs()->set_out_dtype(attention::v1::DATA_TYPE_FP32);
  request.mutable_outputs()->clear_plan();
  request.mutable_outputs()->clear_plan_block_q();
  request.mutable_outputs()->clear_plan_block_k();
  std::vector<std::string> named = NamedTensors(request);
  named.insert(named.end(), {"q", "k", "v"});
  std::erase_if(oracle.tensors, [&named](const ClientTensor& tensor) {
    return std::find(named.begin(), named.end(), tensor.name) == named.end();
  });
  return oracle;
}

}  // namespace

bool IsJudged(absl::string_view output) { return output == "out" || output == "replicated_out"; }

bool CheckResult::passed() const {
  if (!limit.has_value()) return true;
  return std::all_of(outputs.begin(), outputs.end(), [&](const OutputDifference& output) {
    return !IsJudged(output.output) || output.difference.rel_l2 <= *limit;
  });
}

absl::StatusOr<std::vector<OutputDifference>> CompareOutputs(
    const AttendResult& result, const std::vector<ExpectedOutput>& expected) {
  std::vector<OutputDifference> differences;
  for (const ExpectedOutput& answer : expected) {
    const ReceivedTensor* actual = result.Find(answer.output);
    if (actual == nullptr) continue;
    if (actual->shape != answer.tensor.shape) {
      return absl::FailedPreconditionError(
          absl::StrCat(answer.output, ": shape ", FormatShape(actual->shape),
                       " cannot be compared with ", FormatShape(answer.tensor.shape)));
    }
    ATTN_ASSIGN_OR_RETURN(const std::vector<double> actual_values, ToDoubles(View(*actual)));
    ATTN_ASSIGN_OR_RETURN(const std::vector<double> expected_values, ToDoubles(answer.tensor));
    differences.push_back({answer.output, Compare(actual_values, expected_values)});
  }
  return differences;
}

absl::StatusOr<EagerChecker> EagerChecker::Open(AttentionClient& client, CallOptions options,
                                                std::optional<double> limit) {
  EagerChecker checker(client, options, limit);
  ATTN_ASSIGN_OR_RETURN(const attention::v1::ListBackendsResponse backends, client.ListBackends());
  for (const attention::v1::Backend& backend : backends.backends()) {
    if (backend.exact()) checker.exact_backends_.insert(backend.name());
  }
  attention::v1::HoldScopeRequest request;
  request.set_backend(kOracle);
  request.set_holder("attn, to check answers");
  ATTN_ASSIGN_OR_RETURN(checker.scope_, client.HoldScope(request, /*process=*/false));
  return checker;
}

absl::StatusOr<CheckResult> EagerChecker::Check(const AttendArguments& arguments,
                                                const AttendResult& result) {
  const bool exact = exact_backends_.contains(result.selection.backend());
  ATTN_ASSIGN_OR_RETURN(const AttendResult oracle,
                        client_->Attend(OracleArguments(arguments, scope_->id()), options_));
  if (oracle.selection.backend() != kOracle) {
    return absl::FailedPreconditionError(
        absl::StrCat("the check against eager: the server ran ", oracle.selection.backend(),
                     " instead of eager; ",
                     "a scope that was opened meanwhile steers every call (see `attn policy`)"));
  }
  std::vector<ExpectedOutput> expected;
  for (const char* name : {"out", "lse", "weights", "replicated_out", "replicated_lse"}) {
    const ReceivedTensor* answer = oracle.Find(name);
    if (answer != nullptr) expected.push_back({.output = name, .tensor = View(*answer)});
  }
  CheckResult check;
  ATTN_ASSIGN_OR_RETURN(check.outputs, CompareOutputs(result, expected));
  const ReceivedTensor* out = result.Find("out");
  if (out == nullptr || check.outputs.empty()) {
    return absl::InternalError("the check against eager: the server's answer has no tensor `out`");
  }
  check.limit = limit_;
  if (!limit_.has_value() && exact && IsFloat(out->dtype)) {
    check.limit = DefaultLimit(arguments, out->dtype);
  }
  return check;
}

}  // namespace attn::cli
