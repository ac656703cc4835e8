#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/cli/closed_loop.h"
#include "client/cli/command.h"
#include "client/cli/load_report.h"
#include "client/cli/parse_values.h"
#include "client/cli/prepared_call.h"
#include "client/cli/random_tensor.h"
#include "client/cli/report.h"
#include "client/cli/shape_flags.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

// One thread each; more than any one machine keeps busy.
constexpr int kMaxConcurrency = 4096;

// Connections unless --connections says otherwise: beyond four, one host gains nothing.
constexpr int kMaxDefaultConnections = 4;

struct LoadFlags {
  ShapeFlags shape;
  RequestFlags request;
  int concurrency = 1;
  int connections = 0;  // 0 = as many as callers, up to kMaxDefaultConnections.
  std::optional<absl::Duration> duration;
  std::optional<int64_t> requests;
  std::string warmup = "1s";
  uint64_t seed = 1;
};

// The calls of all callers and the data behind them.
struct Workload {
  std::vector<TensorSpec> specs;
  std::vector<AttendArguments> callers;
  std::vector<AlignedBuffer> data;
};

absl::StatusOr<Workload> MakeWorkload(const LoadFlags& flags) {
  if (flags.shape.empty()) {
    return absl::InvalidArgumentError("--shape: missing (or --q_shape, --k_shape, --v_shape)");
  }
  AttendArguments call;
  ATTN_RETURN_IF_ERROR(Apply(flags.request, &call.request));
  const auto& mask = call.request.mask();
  const bool packed = mask.cu_seqlens_q_size() > 0 || mask.cu_seqlens_k_size() > 0;
  Workload workload;
  ATTN_ASSIGN_OR_RETURN(workload.specs, MakeTensorSpecs(flags.shape, flags.request.layout, packed));
  uint64_t seed = flags.seed;
  for (int caller = 0; caller < flags.concurrency; ++caller) {
    call.tensors.clear();
    for (const TensorSpec& spec : workload.specs) {
      ATTN_ASSIGN_OR_RETURN(AlignedBuffer data, RandomTensor(spec.dtype, spec.shape, seed++));
      call.tensors.push_back({.name = spec.name,
                              .dtype = spec.dtype,
                              .shape = spec.shape,
                              .pattern = spec.pattern,
                              .heads = spec.heads,
                              .data = {data.data(), static_cast<size_t>(data.size())}});
      workload.data.push_back(std::move(data));
    }
    workload.callers.push_back(call);
  }
  return workload;
}

// `--warmup`: a time or a number of calls; 0 = none.
absl::StatusOr<LoopLimit> WarmupLimit(const std::string& text) {
  LoopLimit limit;
  if (absl::SimpleAtoi(text, &limit.requests)) {
    if (limit.requests >= 0) return limit;
  } else if (const auto duration = ParseDuration("--warmup", text); duration.ok()) {
    return LoopLimit{.duration = *duration};
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--warmup: ", Quoted(text), "; allowed: a time (500ms, 2s) or a number of calls (20, 0)"));
}

LoopLimit MeasuredLimit(const LoadFlags& flags) {
  LoopLimit limit;
  if (flags.requests.has_value()) limit.requests = *flags.requests;
  if (flags.duration.has_value()) limit.duration = *flags.duration;
  if (!flags.requests.has_value() && !flags.duration.has_value()) limit.duration = absl::Seconds(5);
  return limit;
}

int RunLoad(const Context& context, const LoadFlags& flags) {
  const absl::StatusOr<LoopLimit> warmup_limit = WarmupLimit(flags.warmup);
  if (!warmup_limit.ok()) return FailUsage(context, warmup_limit.status());
  const absl::StatusOr<Workload> workload = MakeWorkload(flags);
  if (!workload.ok()) return FailUsage(context, workload.status());

  Context measured = context;
  measured.client.max_retries = 0;  // A retry would hide an error and count as latency.
  measured.client.connections = flags.connections > 0
                                    ? flags.connections
                                    : std::min(flags.concurrency, kMaxDefaultConnections);
  const absl::StatusOr<std::unique_ptr<AttentionClient>> client = measured.Connect();
  if (!client.ok()) return FailUsage(context, client.status());

  const LoopResult warmup =
      RunClosedLoop(**client, workload->callers, context.call_options(), *warmup_limit);
  if (warmup.latencies_ns.empty() && !warmup.first_error.ok()) {
    return Fail(context, warmup.first_error);
  }
  const LoadReport report = {.tensors = workload->specs,
                             .concurrency = flags.concurrency,
                             .connections = measured.client.connections,
                             .result = RunClosedLoop(**client, workload->callers,
                                                     context.call_options(), MeasuredLimit(flags))};
  if (context.json) {
    PrintJson(LoadJson(report));
  } else {
    PrintLoad(report);
  }
  return report.result.first_error.ok() ? kExitOk : Fail(report.result.first_error);
}

}  // namespace

void AddLoadCommand(CLI::App& app, Context& context) {
  auto flags = std::make_shared<LoadFlags>();
  CLI::App& command =
      *app.add_subcommand("load", "Loads a server and reports throughput and latency");
  command.footer(
      "A closed loop: every caller sends its own random tensors and calls again as soon as it is\n"
      "answered. Nothing is retried. Latency is the caller's, stages are the server's.\n\n"
      "Examples:\n"
      "  attn load --shape 1x24x4096x128 --causal --concurrency 4 --duration 10s\n"
      "  attn load --shape 1x8x128x64 --requests 10000 --warmup 100 --json\n\n"
      "Exit codes: 0 no call failed; 1 some did; 2 wrong arguments; 3 no server answered.");
  AddShapeFlags(command, flags->shape);
  CLI::Option_group& group = *command.add_option_group("Load");
  group.add_option("--concurrency", flags->concurrency, "Callers at once; default: 1")
      ->check(CLI::Range(1, kMaxConcurrency));
  group
      .add_option(
          "--connections", flags->connections,
          absl::StrCat("Connections; default: one a caller, up to ", kMaxDefaultConnections))
      ->check(CLI::Range(1, kMaxConcurrency));
  AddDurationOption(
      group, "--duration", [flags](absl::Duration duration) { flags->duration = duration; },
      "How long; default: 5s, or until --requests are done");
  group.add_option("--requests", flags->requests, "How many calls in all")
      ->check(CLI::PositiveNumber);
  group
      .add_option("--warmup", flags->warmup,
                  "Not measured: a time or a number of calls; default: 1s")
      ->type_name("TIME|N");
  group.add_option("--seed", flags->seed, "Of the random tensors; default: 1");
  AddRequestFlags(command, flags->request);
  command.callback([flags, &context] { context.exit_code = RunLoad(context, *flags); });
}

}  // namespace attn::cli
