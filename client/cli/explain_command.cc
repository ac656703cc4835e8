#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/command.h"
#include "client/cli/prepared_call.h"
#include "client/cli/report.h"
#include "client/cli/response_json.h"
#include "client/cli/shape_flags.h"
#include "client/cli/table.h"
#include "kernels/core/status_macros.h"
#include "server/transport/proto_conversion.h"

namespace attn::cli {
namespace {

using attention::v1::AttendRequest;
using attention::v1::ExplainResponse;

struct ExplainFlags {
  std::string file;
  ShapeFlags shape;
  RequestFlags request;
};

void AddSpec(const load::TensorSpec& spec, AttendRequest* call) {
  attention::v1::Tensor& tensor = *call->add_tensors();
  tensor.set_name(spec.name);
  tensor.set_dtype(ToProto(spec.dtype));
  tensor.mutable_shape()->Add(spec.shape.begin(), spec.shape.end());
  tensor.set_pattern(spec.pattern);
  tensor.set_heads(spec.heads);
}

// The first call of the file: all have one layout, and the command line steers all alike.
absl::StatusOr<AttendRequest> FromFile(const ExplainFlags& flags) {
  ATTN_ASSIGN_OR_RETURN(const PreparedCalls prepared,
                        PrepareCalls(flags.file, flags.request, std::nullopt));
  const AttendArguments& arguments = prepared.calls.front().arguments;
  AttendRequest call = arguments.request;
  for (const ClientTensor& tensor : arguments.tensors) {
    AddSpec({tensor.name, tensor.dtype, tensor.shape, tensor.pattern, tensor.heads}, &call);
  }
  return call;
}

absl::StatusOr<AttendRequest> FromShapes(const ExplainFlags& flags) {
  AttendRequest call;
  ATTN_RETURN_IF_ERROR(Apply(flags.request, &call));
  ATTN_ASSIGN_OR_RETURN(const std::vector<load::TensorSpec> specs,
                        MakeTensorSpecs(flags.shape, flags.request.layout, call));
  for (const load::TensorSpec& spec : specs) AddSpec(spec, &call);
  return call;
}

absl::StatusOr<AttendRequest> MakeCall(const ExplainFlags& flags) {
  if (flags.file.empty() == flags.shape.empty()) {
    return absl::InvalidArgumentError(
        "name a FILE, or describe the tensors with --shape (or --q_shape, --k_shape, --v_shape)");
  }
  return flags.file.empty() ? FromShapes(flags) : FromFile(flags);
}

void PrintExplanation(const ExplainResponse& answer) {
  const attention::v1::Selection& selection = answer.selection();
  if (answer.error_code() == 0) {
    Table chosen({"would run", "rule", "asked for as", "device", "preset"});
    chosen.AddRow({selection.backend(), RuleName(selection.rule()), selection.requested(),
                   selection.device(), selection.preset()});
    std::cout << chosen.Text();
  }
  Table refused({"would not run", "rule", "reason"});
  for (const attention::v1::Refusal& refusal : selection.refused()) {
    refused.AddRow({refusal.backend(), RuleName(refusal.rule()), refusal.reason()});
  }
  if (!refused.empty()) std::cout << (answer.error_code() == 0 ? "\n" : "") << refused.Text();
  std::cout.flush();
}

int RunExplain(const Context& context, const ExplainFlags& flags) {
  absl::StatusOr<AttendRequest> call = MakeCall(flags);
  if (!call.ok()) return FailUsage(context, call.status());
  const absl::StatusOr<std::unique_ptr<AttentionClient>> client = context.Connect();
  if (!client.ok()) return FailUsage(context, client.status());
  attention::v1::ExplainRequest request;
  *request.mutable_call() = *std::move(call);
  const absl::StatusOr<ExplainResponse> answer = (*client)->Explain(request);
  if (!answer.ok()) return Fail(context, answer.status());

  const absl::Status error(static_cast<absl::StatusCode>(answer->error_code()),
                           answer->error_message());
  if (context.json) {
    Json document = {{"selection", ToJson(answer->selection())}};
    if (!error.ok()) document["error"] = ErrorJson(error);
    PrintJson(document);
  } else {
    PrintExplanation(*answer);
  }
  return error.ok() ? kExitOk : Fail(error);
}

}  // namespace

void AddExplainCommand(CLI::App& app, Context& context) {
  auto flags = std::make_shared<ExplainFlags>();
  CLI::App& command =
      *app.add_subcommand("explain", "Shows which backend a call would run on, and why");
  command.footer(
      "Nothing is computed. Of a FILE with several calls the first is explained.\n\n"
      "Examples:\n"
      "  attn explain --shape 1x24x4096x128 --kv_heads 8 --causal\n"
      "  attn explain --shape 2x12x40x32 --dtype fp32 --pattern 'b s (h d)' --backend flash\n"
      "  attn explain --shape 1x8x4096x64 --bias b --tensor b=1x1x4096x4096:bf16 --lse\n"
      "  attn explain qkv.safetensors --model wan2.1\n\n"
      "Exit codes: 0 the call would run; 1 it would fail, or the request was refused; 2 wrong\n"
      "arguments or an unreadable file; 3 no server answered.");
  CLI::Option* file = command.add_option("FILE", flags->file, "Tensors in the safetensors format");
  AddShapeFlags(command, flags->shape);
  AddRequestFlags(command, flags->request);
  command.get_option("--dtype")->excludes(file);
  command.get_option("--tensor")->excludes(file);
  command.callback([flags, &context] { context.exit_code = RunExplain(context, *flags); });
}

}  // namespace attn::cli
