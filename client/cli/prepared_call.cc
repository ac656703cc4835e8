#include "client/cli/prepared_call.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/cli/call_file.h"
#include "client/cli/case_request.h"
#include "client/golden/golden_case.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

std::string CallName(const std::string& path, const std::string& prefix) {
  if (prefix.empty()) return std::filesystem::path(path).stem().string();
  return std::string(absl::StripSuffix(prefix, "."));
}

// The answers that this call can be held against: those of its own options and whole length.
std::vector<ExpectedOutput> ExpectedOutputs(const GoldenCase& golden_case,
                                            const std::string& prefix) {
  std::vector<ExpectedOutput> expected;
  for (const Expectation& expectation : golden_case.expected) {
    const FileTensor* tensor = golden_case.Find(prefix, expectation.tensor);
    const bool comparable = expectation.output == "out" || expectation.output == "lse" ||
                            expectation.output == "replicated_out";
    if (tensor == nullptr || !comparable || !expectation.with.empty() || expectation.rows) continue;
    expected.push_back({.output = expectation.output, .tensor = *tensor});
  }
  return expected;
}

}  // namespace

void AddRequestFlags(CLI::App& command, RequestFlags& flags) {
  AddSelectionFlags(command, flags.selection);
  AddMaskFlags(command, flags.mask);
  AddModifierFlags(command, flags.modifiers);
  AddStageFlags(command, flags.stages);
  AddLayoutFlags(command, flags.layout);
  AddOutputFlags(command, flags.outputs);
  AddMetadataFlags(command, flags.metadata);
}

absl::Status Apply(const RequestFlags& flags, attention::v1::AttendRequest* request) {
  ATTN_RETURN_IF_ERROR(Apply(flags.selection, request));
  ATTN_RETURN_IF_ERROR(Apply(flags.mask, request));
  ATTN_RETURN_IF_ERROR(Apply(flags.modifiers, request));
  ATTN_RETURN_IF_ERROR(Apply(flags.stages, request));
  ATTN_RETURN_IF_ERROR(Apply(flags.metadata, request));
  return Apply(flags.outputs, request);
}

absl::StatusOr<PreparedCalls> PrepareCalls(const std::string& path, const RequestFlags& flags,
                                           std::optional<DType> dtype) {
  PreparedCalls prepared;
  ATTN_ASSIGN_OR_RETURN(prepared.file, SafetensorsFile::Read(path));
  ATTN_ASSIGN_OR_RETURN(const std::vector<std::string> prefixes, FindCalls(prepared.file));
  for (const std::string& prefix : prefixes) {
    PreparedCall call = {.name = CallName(path, prefix), .prefix = prefix};
    ATTN_RETURN_IF_ERROR(Apply(flags, &call.arguments.request));
    ATTN_ASSIGN_OR_RETURN(
        CallTensors tensors,
        ReadCallTensors(prepared.file, prefix, call.arguments.request, flags.layout, dtype));
    call.arguments.tensors = std::move(tensors.tensors);
    call.owned = std::move(tensors.widened);
    prepared.calls.push_back(std::move(call));
  }
  return prepared;
}

absl::StatusOr<PreparedCalls> PrepareCase(const std::string& path, const RequestFlags& flags,
                                          std::optional<DType> dtype) {
  if (!flags.layout.empty()) {
    return absl::InvalidArgumentError(
        "--as_case: the case says the layout of its tensors; leave out --pattern and --heads");
  }
  ATTN_ASSIGN_OR_RETURN(GoldenCase golden_case, ReadGoldenCase(path));
  if (golden_case.kind != "call") {
    return absl::InvalidArgumentError(absl::StrCat("--as_case: the case is of kind ",
                                                   Quoted(golden_case.kind), "; allowed: call"));
  }
  PreparedCalls prepared;
  for (const std::string& prefix : golden_case.prefixes) {
    PreparedCall call = {.name = CallName(path, prefix), .prefix = prefix};
    ATTN_ASSIGN_OR_RETURN(CaseRequest request, MakeCaseRequest(golden_case, prefix, {}, dtype));
    call.arguments = std::move(request.arguments);
    call.owned = std::move(request.converted);
    call.expected = ExpectedOutputs(golden_case, prefix);
    for (const ExpectedOutput& expected : call.expected) {
      if (expected.output == "lse") call.arguments.request.mutable_outputs()->set_lse(true);
    }
    ATTN_RETURN_IF_ERROR(Apply(flags, &call.arguments.request));
    prepared.calls.push_back(std::move(call));
  }
  prepared.file = std::move(golden_case.file);
  return prepared;
}

}  // namespace attn::cli
