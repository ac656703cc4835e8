#include "client/cli/load_flags.h"

#include "absl/strings/str_cat.h"
#include "client/cli/parse_values.h"
#include "client/server_address.h"

namespace attn::cli {
namespace {

void AddLoopFlags(CLI::App& command, LoadFlags& flags) {
  CLI::Option_group& closed = *command.add_option_group(
      "Closed loop", "Each caller makes its next call when the last one is answered");
  closed
      .add_option("--concurrency", flags.concurrency,
                  "Callers at once; default: 1. A list makes one run each")
      ->type_name("N,...");
  CLI::Option_group& open = *command.add_option_group(
      "Open loop", "Calls are sent when they are due, whether or not earlier ones are answered");
  open.add_option("--rate", flags.rate, "Calls a second")->type_name("RATE");
  open.add_option("--ramp", flags.ramp, "A rate that changes evenly over --duration: 50:400")
      ->type_name("FROM:TO");
  open.add_option("--steps", flags.steps, "Rates in turn: 100:5s,200:5s")
      ->type_name("RATE:TIME,...");
  open.add_option("--trace", flags.trace,
                  "Times to send at: a line each, in seconds since the start, ascending")
      ->type_name("FILE");
  open.add_option("--arrival", flags.arrival,
                  "Spacing of calls at the rate: constant (default) or poisson")
      ->check(CLI::IsMember({"constant", "poisson"}));
  open.add_option("--max_in_flight", flags.max_in_flight,
                  "Calls that may wait for an answer; beyond, calls are sent late; default: 256")
      ->check(CLI::Range(1, kMaxCallers));
}

void AddExtentFlags(CLI::App& command, LoadFlags& flags) {
  CLI::Option_group& group = *command.add_option_group("Extent");
  AddDurationOption(
      group, "--duration", [&flags](absl::Duration duration) { flags.duration = duration; },
      "How long; default: 5s, or until --requests are done");
  group.add_option("--requests", flags.requests, "How many calls in all")
      ->check(CLI::PositiveNumber);
  group
      .add_option("--warmup", flags.warmup,
                  "Not measured, in a closed loop: a time or a number of calls; default: 1s")
      ->type_name("TIME|N");
  group.add_option("--seed", flags.seed,
                   "Of send times, choice of calls and random tensors; default: 1");
  const CLI::Validator address(
      [](const std::string& text) { return std::string(CheckServerAddress(text).message()); }, "",
      "");
  group.add_option("--target", flags.targets, "Servers, called in turn; default: --server")
      ->type_name("ADDRESS,...")
      ->delimiter(',')
      ->check(address);
  group
      .add_option("--connections", flags.connections,
                  "To each server; default: one a caller, up to 4")
      ->check(CLI::Range(1, kMaxConnections));
}

void AddSloFlags(CLI::App& command, LoadFlags& flags) {
  CLI::Option_group& group = *command.add_option_group("Service level");
  group.add_option("--max_p99_ms", flags.slo.max_p99_ms, "Of the corrected latency")
      ->check(CLI::PositiveNumber);
  group
      .add_option("--max_error_rate", flags.slo.max_error_rate,
                  "Failed calls of all, 0 to 1; default: one that fails is too many")
      ->check(CLI::Range(0.0, 1.0));
  group.add_flag("--abort_on_slo", flags.abort_on_slo,
                 "Ends a run as soon as it violates the service level, from its 100th call on");
  group.add_flag("--find_max_rate", flags.find_max_rate,
                 "From --rate on, searches the highest rate within the service level to 5%; each "
                 "try lasts --duration");
}

void AddVerifyFlags(CLI::App& command, LoadFlags& flags) {
  CLI::Option_group& group = *command.add_option_group("Verification");
  CLI::Option* every =
      group
          .add_option("--verify_every", flags.verify.every,
                      "Sends every N-th call again to backend eager and compares; wrong answers "
                      "count as failed. Loads the server, too")
          ->check(CLI::PositiveNumber)
          ->type_name("N");
  group
      .add_option("--verify_rate", flags.verify.share, "The same for a share of the calls, 0 to 1")
      ->check(CLI::Range(0.0, 1.0))
      ->excludes(every);
  group
      .add_option("--verify_limit", flags.verify_limit,
                  "Largest rel-L2 of out that passes; default: by dtype for exact backends, none "
                  "for approximations")
      ->check(CLI::NonNegativeNumber);
}

void AddReportFlags(CLI::App& command, LoadFlags& flags) {
  CLI::Option_group& group = *command.add_option_group("Reports");
  group.add_option("--json_out", flags.json_out, "The report as JSON")->type_name("FILE");
  group.add_option("--csv_out", flags.csv_out, "A line for each run")->type_name("FILE");
  group
      .add_option(
          "--hdr_out", flags.hdr_out,
          "Percentile log for HdrHistogram's plotters; of an open loop FILE.uncorrected too")
      ->type_name("FILE");
  group.add_option("--html_out", flags.html_out, "One page with plots")->type_name("FILE");
  group.add_flag_function(
      "--progress,!--no_progress", [&flags](int64_t count) { flags.progress = count > 0; },
      "A line on stderr while it runs; default: on a terminal");
}

}  // namespace

void AddLoadFlags(CLI::App& command, LoadFlags& flags) {
  AddShapeFlags(command, flags.shape);
  command
      .add_option("--workload", flags.workload,
                  "Kinds of calls and their weights, as `attn call --record` writes them; instead "
                  "of flags that describe one call")
      ->type_name("FILE");
  AddLoopFlags(command, flags);
  AddExtentFlags(command, flags);
  AddSloFlags(command, flags);
  AddVerifyFlags(command, flags);
  AddReportFlags(command, flags);
  AddRequestFlags(command, flags.request);
}

}  // namespace attn::cli
