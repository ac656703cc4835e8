#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/call_check.h"
#include "client/cli/call_report.h"
#include "client/cli/command.h"
#include "client/cli/parse_values.h"
#include "client/cli/prepared_call.h"
#include "client/cli/recorded_call.h"
#include "client/cli/report.h"
#include "client/golden/safetensors.h"
#include "client/load/workload.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

constexpr int kMaxRepeats = 100'000;

struct CallFlags {
  std::string file;
  std::string out_file;
  std::string record_file;
  bool check = false;
  std::optional<double> check_limit;
  int repeat = 1;
  bool as_case = false;
  std::string dtype;
  RequestFlags request;
};

absl::StatusOr<PreparedCalls> Prepare(const CallFlags& flags) {
  std::optional<DType> dtype;
  if (!flags.dtype.empty()) {
    ATTN_ASSIGN_OR_RETURN(dtype, ParseDType("--dtype", flags.dtype));
    if (*dtype != DType::kFloat32) {
      return absl::InvalidArgumentError("--dtype: tensors can only be widened; allowed: fp32");
    }
  }
  return flags.as_case ? PrepareCase(flags.file, flags.request, dtype)
                       : PrepareCalls(flags.file, flags.request, dtype);
}

absl::StatusOr<CallReport> RunCall(AttentionClient& client, const CallOptions& options, int repeats,
                                   const PreparedCall& call) {
  CallReport report = {.call = &call, .repeats = repeats};
  std::vector<attention::v1::CallMetrics> metrics;
  std::vector<absl::Duration> totals;
  std::vector<absl::Duration> decodes;
  for (int i = 0; i < repeats; ++i) {
    ATTN_ASSIGN_OR_RETURN(report.result, client.Attend(call.arguments, options));
    metrics.push_back(report.result.metrics);
    totals.push_back(report.result.client_total);
    decodes.push_back(report.result.client_decode);
  }
  report.result.metrics = MedianMetrics(metrics);
  report.result.client_total = MedianDuration(std::move(totals));
  report.result.client_decode = MedianDuration(std::move(decodes));
  ATTN_ASSIGN_OR_RETURN(report.agreement, CompareOutputs(report.result, call.expected));
  return report;
}

absl::StatusOr<std::vector<CallReport>> RunCalls(const Context& context, const CallFlags& flags,
                                                 const PreparedCalls& prepared) {
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<AttentionClient> client, context.Connect());
  std::vector<CallReport> reports;
  for (const PreparedCall& call : prepared.calls) {
    ATTN_ASSIGN_OR_RETURN(CallReport report,
                          RunCall(*client, context.call_options(), flags.repeat, call));
    reports.push_back(std::move(report));
  }
  if (!flags.check) return reports;
  ATTN_ASSIGN_OR_RETURN(EagerChecker checker,
                        EagerChecker::Open(*client, context.call_options(), flags.check_limit));
  for (CallReport& report : reports) {
    ATTN_ASSIGN_OR_RETURN(report.check, checker.Check(report.call->arguments, report.result));
  }
  return reports;
}

absl::Status WriteOutputs(const std::string& path, const std::vector<CallReport>& reports) {
  std::map<std::string, FileTensor, std::less<>> tensors;
  for (const CallReport& report : reports) {
    for (const ReceivedTensor& output : report.result.outputs) {
      tensors[report.call->prefix + output.name] = {
          .dtype = output.dtype,
          .shape = output.shape,
          .data = {output.data.data(), static_cast<size_t>(output.data.size())}};
    }
  }
  return WriteSafetensors(path, tensors, {});
}

absl::Status RecordCalls(const std::string& path, const PreparedCalls& prepared) {
  for (const PreparedCall& call : prepared.calls) {
    ATTN_ASSIGN_OR_RETURN(const load::Entry entry, RecordedEntry(call));
    ATTN_RETURN_IF_ERROR(load::RecordEntry(path, entry));
  }
  return absl::OkStatus();
}

int RunCallCommand(const Context& context, const CallFlags& flags) {
  const absl::StatusOr<PreparedCalls> prepared = Prepare(flags);
  if (absl::IsUnimplemented(prepared.status())) return Fail(context, prepared.status());
  if (!prepared.ok()) return FailUsage(context, prepared.status());
  for (const std::string& path : {flags.out_file, flags.record_file}) {
    if (path.empty()) continue;
    const absl::Status writable = CheckPathWritable(path);
    if (!writable.ok()) return FailUsage(context, writable);
  }
  const absl::StatusOr<std::vector<CallReport>> reports = RunCalls(context, flags, *prepared);
  if (!reports.ok()) return Fail(context, reports.status());
  if (!flags.out_file.empty()) {
    const absl::Status written = WriteOutputs(flags.out_file, *reports);
    if (!written.ok()) return FailUsage(context, written);
  }
  if (!flags.record_file.empty()) {
    const absl::Status recorded = RecordCalls(flags.record_file, *prepared);
    if (!recorded.ok()) return FailUsage(context, recorded);
  }
  if (context.json) {
    PrintJson(CallsJson(*reports));
  } else {
    PrintCalls(*reports);
  }
  for (const CallReport& report : *reports) {
    if (report.check.has_value() && !report.check->passed()) return kExitFailed;
  }
  return kExitOk;
}

}  // namespace

void AddCallCommand(CLI::App& app, Context& context) {
  auto flags = std::make_shared<CallFlags>();
  CLI::App& command = *app.add_subcommand("call", "Computes attention on the tensors of a file");
  command.footer(
      "The file holds q, k and v (one call), or layers.0.q, layers.0.k, ... (several), and the\n"
      "tensors that flags name. Nothing else of it steers a call, unless --as_case is given.\n\n"
      "Examples:\n"
      "  attn call qkv.safetensors --causal --check\n"
      "  attn call qkv.safetensors --bias bias --softcap 30 --sinks sinks --lse\n"
      "  attn call qkv.safetensors --mask_expr '{\"op\": \"packed\", \"ids\": \"doc_ids\"}'\n"
      "  attn call layers.safetensors --backend flash --repeat 5 --out answers.safetensors\n"
      "  attn call qkv.safetensors --json | jq '.calls[0].backend'\n\n"
      "Exit codes: 0 done; 1 a call or check failed; 2 wrong arguments, or a file that\n"
      "cannot be read or written; 3 no server answered.");
  command.add_option("FILE", flags->file, "Tensors in the safetensors format")->required();
  command.add_option("--out", flags->out_file, "Writes the outputs there, under the same prefixes")
      ->type_name("FILE");
  command
      .add_option("--record", flags->record_file,
                  "Adds the calls, without their tensors' data, to a workload for `attn load`")
      ->type_name("FILE");
  command.add_option("--repeat", flags->repeat, "Makes each call N times and reports medians")
      ->check(CLI::Range(1, kMaxRepeats))
      ->type_name("N");
  CLI::Option* check =
      command.add_flag("--check", flags->check, "Compares the answer with that of backend eager");
  command
      .add_option("--check_limit", flags->check_limit,
                  "Largest rel-L2 of out that passes; default: by dtype for exact backends, none "
                  "for approximations")
      ->check(CLI::NonNegativeNumber)
      ->needs(check);
  command.add_flag("--as_case", flags->as_case,
                   "The golden case in the file's metadata steers the calls");
  command
      .add_option("--dtype", flags->dtype,
                  "Widens q, k, v (and replicated tokens) before sending: fp32")
      ->type_name("DTYPE");
  AddRequestFlags(command, flags->request);
  command.callback([flags, &context] { context.exit_code = RunCallCommand(context, *flags); });
}

}  // namespace attn::cli
