#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/call_check.h"
#include "client/cli/command.h"
#include "client/cli/load_flags.h"
#include "client/cli/load_signals.h"
#include "client/cli/load_table.h"
#include "client/load/load_report.h"
#include "client/load/text_file.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

using load::LoadReport;
using load::RunReport;

// Every server under load, and what asks it for verification.
struct Targets {
  std::vector<std::unique_ptr<AttentionClient>> clients;
  std::vector<std::unique_ptr<EagerChecker>> checkers;
  std::vector<load::ServerFacts> facts;
  std::vector<load::Target> targets;
};

// --server on the command line; ATTN_SERVER is a default that --target replaces.
absl::Status CheckTargets(const Context& context, const LoadFlags& flags) {
  const char* variable = std::getenv("ATTN_SERVER");
  const bool by_flag =
      !context.client.server.empty() && (variable == nullptr || context.client.server != variable);
  if (flags.targets.empty() || !by_flag) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "--server with --target; allowed: one of them, --target for several servers");
}

// Connects and says which servers there are: one that cannot be reached ends it all here.
absl::StatusOr<Targets> OpenTargets(const Context& context, const LoadFlags& flags,
                                    const LoadTask& task) {
  Targets opened;
  std::vector<std::string> addresses = flags.targets;
  if (addresses.empty()) addresses.push_back(context.client.server);
  for (const std::string& address : addresses) {
    Context own = context;
    own.client.server = address;
    own.client.max_retries = 0;  // A retry would hide an error and count as latency.
    own.client.connections = task.connections;
    own.timeout.reset();  // --timeout is that of the calls under load.
    ATTN_ASSIGN_OR_RETURN(std::unique_ptr<AttentionClient> client, own.Connect());
    const std::string name = address.empty() ? kDefaultServer : address;
    ATTN_ASSIGN_OR_RETURN(load::ServerFacts facts, load::DescribeServer(name, *client));
    load::Target target = {.address = name, .client = client.get()};
    if (flags.verify.every > 0 || flags.verify.share > 0) {
      ATTN_ASSIGN_OR_RETURN(EagerChecker checker,
                            EagerChecker::Open(*client, task.plan.call, flags.verify_limit));
      opened.checkers.push_back(std::make_unique<EagerChecker>(std::move(checker)));
      target.verify = [checker = opened.checkers.back().get()](
                          const AttendArguments& arguments,
                          const AttendResult& result) -> absl::StatusOr<load::Verdict> {
        ATTN_ASSIGN_OR_RETURN(const CheckResult check, checker->Check(arguments, result));
        return load::Verdict{check.passed(), check.outputs.front().difference.rel_l2};
      };
    }
    opened.facts.push_back(std::move(facts));
    opened.clients.push_back(std::move(client));
    opened.targets.push_back(std::move(target));
  }
  return opened;
}

load::Progress ProgressKind(const LoadFlags& flags) {
  const bool terminal = isatty(STDERR_FILENO) == 1;
  if (!flags.progress.value_or(terminal)) return load::Progress::kNone;
  return terminal ? load::Progress::kTerminal : load::Progress::kLines;
}

absl::Status WriteReports(const LoadFlags& flags, const LoadReport& report) {
  const load::Measurements& measured = report.main_run().measurements();
  const auto write = [](const std::string& path, const std::string& text) {
    return path.empty() ? absl::OkStatus() : load::WriteTextFile(path, text);
  };
  ATTN_RETURN_IF_ERROR(write(flags.json_out, absl::StrCat(JsonText(load::LoadJson(report)), "\n")));
  ATTN_RETURN_IF_ERROR(write(flags.csv_out, load::LoadCsv(report)));
  ATTN_RETURN_IF_ERROR(write(flags.html_out, load::LoadHtml(report)));
  ATTN_RETURN_IF_ERROR(write(flags.hdr_out, measured.latency.PercentileLog()));
  if (flags.hdr_out.empty() || !report.open_loop) return absl::OkStatus();
  return load::WriteTextFile(flags.hdr_out + ".uncorrected", measured.uncorrected.PercentileLog());
}

// kExitFailed if the load was interrupted, if the service level is violated, or, without a bound on
// errors, if a call failed.
int ExitCode(const LoadFlags& flags, const LoadReport& report) {
  if (report.interrupted) {
    std::cerr << "attn: interrupted; the report is of what was measured until then" << std::endl;
    return kExitFailed;
  }
  if (report.search.has_value()) {
    if (report.search->max_rate > 0) return kExitOk;
    std::cerr << "attn: no rate was within the service level" << std::endl;
    return kExitFailed;
  }
  int code = kExitOk;
  for (const RunReport& run : report.runs) {
    for (const std::string& violation : run.violations) {
      std::cerr << "attn: " << run.label << ": service level violated: " << violation << std::endl;
      code = kExitFailed;
    }
    const load::Measurements& measured = run.measurements();
    if (measured.failed == 0 || flags.slo.max_error_rate.has_value()) continue;
    code = kExitFailed;
    std::cerr << "attn: " << run.label << ": " << measured.failed << " of " << measured.calls()
              << " calls failed" << std::endl;
    if (measured.first_error.ok()) continue;  // Answers were wrong, or calls not sent.
    PrintError(measured.first_error);
    PrintHint(measured.first_error);
    if (measured.completed == 0 && IsUnreachable(measured.first_error)) return kExitUnreachable;
  }
  return code;
}

// Connects, warms up and runs. From the first call on a signal ends the load with its report.
absl::Status Measure(const Context& context, const LoadFlags& flags, const load::CallMix& mix,
                     LoadTask* task, LoadReport* report) {
  LoadSignals signals;
  task->plan.stop = signals.stop();
  task->plan.call.cancel = signals.cancel();
  ATTN_ASSIGN_OR_RETURN(Targets targets, OpenTargets(context, flags, *task));
  report->environment.servers = std::move(targets.facts);
  const load::LoadSession session(task->plan, targets.targets, mix);
  signals.Defer();
  ATTN_RETURN_IF_ERROR(session.WarmUp());
  ATTN_RETURN_IF_ERROR(session.RunAll(report));
  report->interrupted = task->plan.stop.stop_requested();
  return absl::OkStatus();
}

int RunLoad(const Context& context, const CLI::App& command, const LoadFlags& flags) {
  absl::StatusOr<LoadTask> task = MakeLoadTask(command, flags);
  if (!task.ok()) return FailUsage(context, task.status());
  const absl::Status one_way = CheckTargets(context, flags);
  if (!one_way.ok()) return FailUsage(context, one_way);
  const absl::StatusOr<load::CallMix> mix = load::CallMix::Create(task->workload, flags.seed);
  if (!mix.ok()) return FailUsage(context, mix.status());
  task->plan.call = context.call_options();
  task->plan.progress = ProgressKind(flags);
  LoadReport report = {.environment = load::DescribeEnvironment(),
                       .config = ConfigJson(flags, *task),
                       .open_loop = task->plan.open_loop,
                       .slo = flags.slo};
  for (const load::Entry& entry : task->workload.entries) report.entries.push_back(entry.name);

  const absl::Status measured = Measure(context, flags, *mix, &*task, &report);
  if (!measured.ok()) return Fail(context, measured);

  if (context.json) {
    PrintJson(load::LoadJson(report));
  } else {
    PrintLoad(report);
  }
  const absl::Status written = WriteReports(flags, report);
  if (!written.ok()) {
    PrintError(written);
    return kExitUsage;
  }
  return ExitCode(flags, report);
}

}  // namespace

void AddLoadCommand(CLI::App& app, Context& context) {
  auto flags = std::make_shared<LoadFlags>();
  CLI::App& command =
      *app.add_subcommand("load", "Loads a server and reports throughput and latency");
  command.footer(
      "Calls carry random tensors, one set for each kind of call; nothing is retried. Latency is\n"
      "the caller's: in an open loop corrected, which counts from when a call was due, with the\n"
      "uncorrected one beside it, which counts from when it was sent. Stages are the server's.\n"
      "--timeout is that of the calls under load. Ctrl-C or SIGTERM ends a load early: calls in\n"
      "flight have 5 s to be answered, and what was measured is reported; a second one ends it at\n"
      "once.\n\n"
      "Examples:\n"
      "  attn load --shape 1x24x4096x128 --causal --concurrency 1,2,4,8 --duration 10s\n"
      "  attn load --shape 1x8x128x64 --rate 200 --arrival poisson --duration 5s \\\n"
      "    --json_out r.json --html_out r.html\n"
      "  attn load --workload mix.json --rate 50 --find_max_rate --max_p99_ms 20\n\n"
      "Exit codes: 0 fine; 1 a call failed (with --max_error_rate: too many did), the service\n"
      "level was violated or the load interrupted; 2 wrong arguments, or a file that cannot be\n"
      "used; 3 no server answered.");
  AddLoadFlags(command, *flags);
  command.callback(
      [flags, &context, &command] { context.exit_code = RunLoad(context, command, *flags); });
}

}  // namespace attn::cli
