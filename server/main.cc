// attnd: attention as a service. The composition root: options, then the parts bottom up, then
// the server, until a signal ends it.
#include <pthread.h>
#include <signal.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpc/grpc.h"
#include "kernels/builtin_backends.h"
#include "kernels/core/buffer_pool.h"
#include "kernels/core/status_macros.h"
#include "server/command_line.h"
#include "server/config/preset_file.h"
#include "server/executor/executor.h"
#include "server/policy/policy_state.h"
#include "server/policy/preset_check.h"
#include "server/policy/selection.h"
#include "server/services/server.h"
#include "server/telemetry/metrics_endpoint.h"
#include "server/telemetry/prometheus_observer.h"
#include "server/version.h"

namespace attn {
namespace {

// The signals that end a server; blocked in every thread, taken by WaitForStop.
sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

void WaitForStop() {
  const sigset_t signals = StopSignals();
  int signal = 0;
  sigwait(&signals, &signal);
}

// A second signal while draining ends the process at once.
void RestoreDefaultStop() {
  signal(SIGTERM, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

// A choice for the whole process that could never serve stops the start.
absl::Status CheckChoice(absl::string_view source, const std::string& backend,
                         const Registry& registry) {
  if (backend.empty()) return absl::OkStatus();
  const absl::Status status = CheckInBuild(backend, registry);
  return absl::Status(status.code(), absl::StrCat(source, ": ", status.message()));
}

absl::StatusOr<std::unique_ptr<PolicyState>> CreatePolicy(const ServerOptions& options,
                                                          const Registry& registry) {
  auto presets = std::make_shared<PresetTable>();
  if (!options.presets.empty()) {
    ATTN_ASSIGN_OR_RETURN(*presets, LoadPresetFile(options.presets));
    ATTN_RETURN_IF_ERROR(CheckPresets(*presets, registry));
  }
  const char* variable = std::getenv("ATTN_BACKEND");
  const std::string environment = variable == nullptr ? "" : variable;
  ATTN_RETURN_IF_ERROR(CheckChoice("ATTN_BACKEND", environment, registry));
  ATTN_RETURN_IF_ERROR(CheckChoice("force_backend", options.force_backend, registry));
  ATTN_ASSIGN_OR_RETURN(std::unique_ptr<PolicyState> policy,
                        PolicyState::Create(environment, std::move(presets)));
  if (!options.force_backend.empty()) {
    ATTN_RETURN_IF_ERROR(policy->SetForced(options.force_backend).status());
  }
  return policy;
}

// As configured, with the port that was bound.
std::string MetricsAddress(const ServerOptions& options, const MetricsEndpoint* metrics) {
  if (metrics == nullptr) return "off";
  const size_t colon = options.metrics_listen.rfind(':');
  return absl::StrCat(options.metrics_listen.substr(0, colon + 1), metrics->port());
}

absl::Status Serve(const ServerOptions& options) {
  ATTN_ASSIGN_OR_RETURN(const Registry registry, CreateBuiltinRegistry());
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<PolicyState> policy, CreatePolicy(options, registry));
  PrometheusObserver observer(BuildInfo{std::string(kVersion), __VERSION__, ATTN_CUDA_TOOLKIT});
  std::unique_ptr<MetricsEndpoint> metrics;
  if (options.metrics_listen != "off") {
    ATTN_ASSIGN_OR_RETURN(metrics,
                          MetricsEndpoint::Create(options.metrics_listen, observer.metrics()));
  }
  BufferPool buffers(options.pool_idle_bytes);
  ExecutorOptions executor_options;
  executor_options.workers = options.workers;
  executor_options.limits.max_waiting = options.max_waiting_calls;
  executor_options.limits.max_running = options.max_running_calls;
  executor_options.limits.max_admitted_bytes = options.max_admitted_bytes;
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<Executor> executor,
                        Executor::Create(executor_options, &observer));

  ReplyLedger replies(options.max_admitted_bytes);
  BackendFaults faults(policy.get());
  const ServiceContext services{&registry, policy.get(), executor.get(), &buffers,
                                &faults,   &replies,     &observer};
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<Server> server,
                        Server::Start({options.listen, options.max_message_bytes}, services));
  std::cout << "attnd " << kVersion << " ready: listen=" << absl::StrJoin(server->addresses(), ",")
            << " metrics=" << MetricsAddress(options, metrics.get())
            << " workers=" << executor->workers() << std::endl;
  WaitForStop();
  RestoreDefaultStop();
  std::cout << "attnd draining" << std::endl;
  if (!server->Drain(absl::Milliseconds(options.drain_limit_ms))) {
    return absl::DeadlineExceededError(
        absl::StrCat("drain_limit_ms: calls were cut off after ", options.drain_limit_ms, " ms"));
  }
  std::cout << "attnd stopped" << std::endl;
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // Before any thread: all inherit it.
  // Debian builds Abseil with lock-order checks on; they cost a fifth of a small call and more.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  // Never undone: the last shutdown of gRPC would wait for its poller, up to 10 s.
  grpc_init();
  const CommandLine command_line = ParseCommandLine(argc, argv);
  if (command_line.exit_code) return *command_line.exit_code;
  if (const absl::Status status = Serve(command_line.options); !status.ok()) {
    std::cerr << "attnd: " << status.message() << std::endl;
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace attn

int main(int argc, char** argv) { return attn::Main(argc, argv); }
