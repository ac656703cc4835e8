// attnd: attention as a service. The composition root: the configuration, then the parts bottom up,
// then the server, until a signal ends it.
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpc/grpc.h"
#include "grpc/support/log.h"
#include "kernels/builtin_backends.h"
#include "kernels/core/buffer_pool.h"
#include "kernels/core/status_macros.h"
#include "kernels/engines/cpu/cpu_isa.h"
#include "server/app/command_line.h"
#include "server/app/config_files.h"
#include "server/app/part_options.h"
#include "server/app/plugins.h"
#include "server/app/reload.h"
#include "server/app/state_source.h"
#include "server/app/stop_signals.h"
#include "server/app/version.h"
#include "server/app/warm_up.h"
#include "server/app/worker_plan.h"
#include "server/config/address_syntax.h"
#include "server/config/config_text.h"
#include "server/executor/executor.h"
#include "server/policy/backend_names.h"
#include "server/policy/policy_state.h"
#include "server/services/server.h"
#include "server/telemetry/call_observers.h"
#include "server/telemetry/metrics_endpoint.h"
#include "server/telemetry/process_metrics.h"
#include "server/telemetry/prometheus_observer.h"
#include "server/telemetry/server_log.h"
#include "server/telemetry/state_metrics.h"

namespace attn {
namespace {

// Exit codes; 0 = all in order.
constexpr int kFailed = 1;
constexpr int kMistake = 2;  // In flags, variables or files.

// From the end of draining to that of every connection at the latest.
constexpr absl::Duration kClosing = absl::Seconds(2);

// What computes, as the options ask for it and this machine can.
struct Compute {
  CpuIsa isa = FastestCpuIsa();
  WorkerPlan workers;
};

// Adds what is wrong to the mistakes, and leaves there what it would be unasked. Before any thread
// is started that is to keep to the memory of a node.
Compute ChooseCompute(const ServerConfig& config, std::vector<std::string>* mistakes) {
  Compute compute;
  if (const absl::StatusOr<CpuIsa> isa = ParseCpuIsa(config.options.cpu_isa); isa.ok()) {
    compute.isa = *isa;
  } else {
    mistakes->push_back(config.WithOrigin(absl::StrCat("cpu_isa: ", isa.status().message())));
  }
  compute.workers = ChooseWorkers(config, mistakes);
  return compute;
}

absl::StatusOr<std::unique_ptr<PolicyState>> CreatePolicy(
    const CommandLine& command_line, const Registry& registry,
    std::shared_ptr<const PresetTable> presets) {
  ATTN_ASSIGN_OR_RETURN(std::unique_ptr<PolicyState> policy,
                        PolicyState::Create(command_line.environment_backend, std::move(presets),
                                            {}, absl::Now, OwnBackendNames(registry)));
  const std::string& forced = command_line.config.options.force_backend;
  if (!forced.empty()) ATTN_RETURN_IF_ERROR(policy->SetForced(forced).status());
  return policy;
}

// Null for `off`.
absl::StatusOr<std::unique_ptr<MetricsEndpoint>> ServeMetrics(const ServerOptions& options,
                                                              MetricsEndpoint::Metrics metrics) {
  if (options.metrics_listen == kNoMetrics) return nullptr;
  absl::StatusOr<std::unique_ptr<MetricsEndpoint>> endpoint =
      MetricsEndpoint::Create(options.metrics_listen, std::move(metrics));
  if (endpoint.ok()) return endpoint;
  return absl::Status(endpoint.status().code(),
                      absl::StrCat("metrics_listen: ", endpoint.status().message()));
}

// What a person is told of the end, too.
int ExitCode(const absl::Status& end) {
  if (end.ok()) return 0;
  std::cerr << "attnd: " << end.message() << std::endl;
  return kFailed;
}

// As configured, with the port that was bound.
std::string MetricsAddress(const ServerOptions& options, const MetricsEndpoint* metrics) {
  if (metrics == nullptr) return std::string(kNoMetrics);
  const size_t colon = options.metrics_listen.rfind(':');
  return absl::StrCat(options.metrics_listen.substr(0, colon + 1), metrics->port());
}

// One line for people and scripts, on stdout; the log has it as well. A server that no backend can
// serve stays up, so that an operator can release what was quarantined.
void SayReady(const Server& server, const Executor& executor, const std::string& metrics,
              ServerLog* log) {
  const std::string listen = absl::StrJoin(server.addresses(), ",");
  const bool ready = server.ready();
  const char* state = ready ? "ready" : "not ready, no backend can serve";
  log->Write(ready ? LogLevel::kInfo : LogLevel::kError, state,
             {{"version", std::string(kVersion)}, {"listen", listen}, {"metrics", metrics}});
  std::cout << "attnd " << kVersion << " " << state << ": listen=" << listen
            << " metrics=" << metrics << " workers=" << executor.workers() << std::endl;
}

// The end in order, from the first stop signal on.
absl::Status Stop(const ServerOptions& options, Executor* executor, Server* server,
                  ServerLog* log) {
  server->AnnounceDrain();
  if (options.lame_duck_ms > 0) {
    const std::string limit = absl::StrCat(options.lame_duck_ms);
    log->Write(LogLevel::kInfo, "not ready any more, calls are served on", {{"ms", limit}});
    std::cout << "attnd lame duck for " << limit << " ms" << std::endl;
    absl::SleepFor(absl::Milliseconds(options.lame_duck_ms));
  }
  executor->StopAdmitting();  // Before it is said: who has read it finds it true.
  log->Write(LogLevel::kInfo, "draining", {{"limit_ms", absl::StrCat(options.drain_limit_ms)}});
  std::cout << "attnd draining" << std::endl;
  const bool drained = server->Drain(absl::Milliseconds(options.drain_limit_ms));
  absl::Status end = drained ? absl::OkStatus()
                             : absl::DeadlineExceededError(absl::StrCat(
                                   "drain_limit_ms: calls cut off after ", options.drain_limit_ms,
                                   " ms: ", server->cut_off_calls()));
  // A peer that reads nothing would hold gRPC's end for longer.
  absl::Notification closed;
  std::thread guard([&] {
    if (!closed.WaitForNotificationWithTimeout(kClosing)) _exit(ExitCode(end));
  });
  server->Close();
  closed.Notify();
  guard.join();
  if (!end.ok()) return end;
  log->Write(LogLevel::kInfo, "stopped");
  std::cout << "attnd stopped" << std::endl;
  return absl::OkStatus();
}

absl::Status Serve(const CommandLine& command_line, const Compute& compute, const Plugins& plugins,
                   const Registry& registry, BufferPool* buffers, ConfigFiles files,
                   StopSignals* signals) {
  const ServerOptions& options = command_line.config.options;
  ServerLog log(LogOptionsOf(options));
  for (const std::string& warning : command_line.config.warnings) {
    log.Write(LogLevel::kWarning, "configuration", {{"warning", warning}});
  }
  LogCompute(options, std::string(Name(compute.isa)), compute.workers, &log);
  LogPlugins(plugins, &log);
  PrometheusObserver metrics(BuildInfo{std::string(kVersion), __VERSION__, ATTN_CUDA_TOOLKIT});
  CallObservers observers({&metrics, &log});

  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<PolicyState> policy,
                        CreatePolicy(command_line, registry, std::move(files.presets)));
  const WorkerPlan& workers = compute.workers;
  ATTN_ASSIGN_OR_RETURN(
      const std::unique_ptr<Executor> executor,
      Executor::Create({workers.workers, ExecutorLimitsOf(options), workers.placement},
                       &observers));
  ReplyLedger replies(options.max_admitted_bytes);
  BackendFaults faults(policy.get(), [&log](const std::string& backend, const std::string& reason) {
    log.Write(LogLevel::kError, "backend quarantined", {{"backend", backend}, {"reason", reason}});
  });
  const auto set_log_level = [&log](const std::string& name) -> absl::StatusOr<std::string> {
    ATTN_ASSIGN_OR_RETURN(const LogLevel level, ParseLogLevel(name));
    return kLogLevelNames[static_cast<int>(log.SetLevel(level))];
  };
  const auto log_change = [&log](absl::string_view message, ServiceContext::Fields fields) {
    log.Write(LogLevel::kInfo, message, fields);
  };
  const ServiceContext services{
      &registry,  policy.get(),  executor.get(),        buffers,   &faults, &replies,
      &observers, set_log_level, std::string(kVersion), log_change};
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<Server> server,
                        Server::Start(ListenOptionsOf(options, files.admin_token, &log), services));
  // A hostile client can make gRPC write a line a handshake, between ours.
  if (std::getenv("GRPC_VERBOSITY") == nullptr) gpr_set_log_function([](gpr_log_func_args*) {});
  Reloader reloader(command_line.sources, command_line.config,
                    {&registry, policy.get(), executor.get(), &log});
  const StateParts state{&registry, policy.get(), server.get(),
                         &reloader, &log,         std::string(Name(compute.isa))};
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<MetricsEndpoint> endpoint,
                        ServeMetrics(options, {metrics.metrics(), StateMetrics(StateSource(state)),
                                               ProcessMetrics()}));

  if (options.warmup) {
    WarmUp(registry, executor.get(), policy.get(), &log, [&] { return signals->stopping(); });
  }
  if (!signals->stopping()) {
    server->SetReady();
    SayReady(*server, *executor, MetricsAddress(options, endpoint.get()), &log);
  }
  while (signals->Wait() == StopSignals::Event::kReload) reloader.Reload();
  return Stop(reloader.options(), executor.get(), server.get(), &log);
}

int SayMistakes(const CommandLine& command_line) {
  std::cerr << absl::StrJoin(command_line.mistakes, "\n") << std::endl;
  return kMistake;
}

// Of --check_config and --print_config.
int SayConfig(const CommandLine& command_line, const Plugins& plugins = {}) {
  if (!command_line.mistakes.empty()) return SayMistakes(command_line);
  for (const std::string& warning : command_line.config.warnings) {
    std::cerr << "warning: " << warning << "\n";
  }
  SayPlugins(plugins);
  std::cout << (command_line.print_config ? PrintedConfig(command_line.config) : "ok\n")
            << std::flush;
  return 0;
}

int Main(int argc, char** argv) {
  // glibc would make eight a core, and each keeps what its busiest moment took.
  mallopt(M_ARENA_MAX, static_cast<int>(std::max(2U, std::thread::hardware_concurrency())));
  StopSignals signals;  // Before any other thread.
  // Debian builds Abseil with lock-order checks on; they cost a fifth of a small call and more.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  CommandLine command_line = ParseCommandLine(argc, argv, environ);
  if (command_line.exit_code) return *command_line.exit_code;
  if (command_line.print_config && !command_line.check_config) return SayConfig(command_line);
  const Compute compute = ChooseCompute(command_line.config, &command_line.mistakes);
  // Never undone: the last shutdown of gRPC would wait for its poller, up to 10 s.
  grpc_init();
  // Of payloads and of what engines make of them: one bound holds for both.
  BufferPool buffers(command_line.config.options.pool_idle_bytes);
  Plugins plugins = ReadPlugins(command_line.config, &command_line.mistakes);
  const absl::StatusOr<Registry> registry =
      CreateBuiltinRegistry({.cpu_isa = compute.isa, .buffers = buffers},
                            {std::move(plugins.backends), std::move(plugins.mask_functions)});
  if (!registry.ok()) {
    std::cerr << "attnd: " << registry.status().message() << std::endl;
    return kFailed;
  }
  ConfigFiles files = ReadConfigFiles(command_line.environment_backend, *registry,
                                      &command_line.config, &command_line.mistakes);
  if (command_line.check_config) return SayConfig(command_line, plugins);
  if (!command_line.mistakes.empty()) return SayMistakes(command_line);
  return ExitCode(
      Serve(command_line, compute, plugins, *registry, &buffers, std::move(files), &signals));
}

}  // namespace
}  // namespace attn

int main(int argc, char** argv) {
  try {
    return attn::Main(argc, argv);
  } catch (const std::system_error& error) {  // Of std::thread: a limit on processes.
    std::cerr << "attnd: cannot start a thread: " << error.what() << std::endl;
    return attn::kFailed;
  }
}
