// Our side of the CPU attention benchmark: runs calls through the server's executor when it is told
// to, and measures the machine's ceilings. attention_cpu_bench.py drives it and the peers.
//
//   attention_cpu_worker [--isa NAME]
//
// One request a line on standard input, one answer a line on standard output, both JSON; an answer
// with `error` says what went wrong. Requests:
//   {"do": "about"}                                               -> {"isa": NAME}
//   {"do": "ceilings", "threads": N}
//   {"do": "load", "path": FILE, "batch": ..., "dtype": "bf16", "causal": false}
//   {"do": "run", "backend": "flash", "threads": N, "calls": C}   -> {"seconds": of a call}
//   {"do": "save", "path": FILE}                                  the output of the last run
// Between requests no thread of it runs.
#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "kernels/core/registry.h"
#include "kernels/core/status_macros.h"
#include "kernels/engines/cpu/cpu_device.h"
#include "kernels/engines/cpu/cpu_isa.h"
#include "kernels/engines/cpu/flash_backend.h"
#include "kernels/engines/reference/reference_backend.h"
#include "nlohmann/json.hpp"
#include "server/executor/executor.h"
#include "tests/bench/attention_cpu/bench_call.h"
#include "tests/bench/attention_cpu/ceilings.h"
#include "tests/bench/attention_cpu/sparse_backend.h"

namespace attn {
namespace {

using Json = nlohmann::ordered_json;

// What the issue asks of sparsity: a plan that skips 90 %.
constexpr double kKeptBlocks = 0.1;

class Worker {
 public:
  Worker(CpuIsa isa, Registry backends) : isa_(isa), backends_(std::move(backends)) {}

  absl::StatusOr<Json> Answer(const Json& request) {
    const std::string what = request.at("do");
    if (what == "about") return Json{{"isa", std::string(Name(isa_))}};
    if (what == "ceilings") return AnswerCeilings(request);
    if (what == "load") return AnswerLoad(request);
    if (what == "run") return AnswerRun(request);
    if (what == "save") return AnswerSave(request);
    return absl::InvalidArgumentError(
        absl::StrCat("do is '", what, "', allowed: about, ceilings, load, run, save"));
  }

 private:
  absl::StatusOr<Json> AnswerCeilings(const Json& request) {
    const Ceilings ceilings = MeasureCeilings(request.at("threads"));
    return Json{{"threads", request.at("threads")},
                {"fp32_gflops", ceilings.fp32_gflops},
                {"bf16_dot_gflops", ceilings.bf16_dot_gflops},
                {"amx_gflops", ceilings.amx_gflops},
                {"read_gb_per_s", ceilings.read_gb_per_s}};
  }

  absl::StatusOr<Json> AnswerLoad(const Json& request) {
    const std::string dtype_name = request.at("dtype");
    const std::optional<DType> dtype = DTypeFromName(dtype_name);
    if (!dtype.has_value() || !IsFloat(*dtype)) {
      return absl::InvalidArgumentError(
          absl::StrCat("dtype is '", dtype_name, "', allowed: fp32, fp16, bf16"));
    }
    call_.reset();  // Before the next one takes its memory.
    ATTN_ASSIGN_OR_RETURN(call_, BenchCall::Load({.batch = request.at("batch"),
                                                  .heads = request.at("heads"),
                                                  .kv_heads = request.at("kv_heads"),
                                                  .query_len = request.at("query_len"),
                                                  .key_len = request.at("key_len"),
                                                  .head_dim = request.at("head_dim"),
                                                  .dtype = *dtype,
                                                  .causal = request.at("causal")},
                                                 request.at("path")));
    return Json::object();
  }

  absl::StatusOr<Json> AnswerRun(const Json& request) {
    const std::string name = request.at("backend");
    const Backend* const backend = backends_.Find(name);
    if (backend == nullptr) return absl::NotFoundError(absl::StrCat("no backend '", name, "'"));
    ATTN_ASSIGN_OR_RETURN(Executor * executor, ExecutorOf(request.at("threads")));
    if (call_ == nullptr) return absl::FailedPreconditionError("run before load");
    const int calls = request.at("calls");
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) ATTN_RETURN_IF_ERROR(Run(*backend, *executor));
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    return Json{{"seconds", elapsed.count() / calls}};
  }

  absl::StatusOr<Json> AnswerSave(const Json& request) {
    if (call_ == nullptr) return absl::FailedPreconditionError("save before load");
    ATTN_RETURN_IF_ERROR(call_->SaveOutput(request.at("path")));
    return Json::object();
  }

  // As the server runs a call whose payload has arrived.
  absl::Status Run(const Backend& backend, Executor& executor) {
    absl::Status end;
    absl::Notification ended;
    Job job;
    job.backend = &backend;
    job.call = call_->call();
    job.done = [&](JobOutcome outcome) {
      end = outcome.status;
      ended.Notify();
    };
    ATTN_RETURN_IF_ERROR(executor.Submit(std::move(job)).status());
    ended.WaitForNotification();
    return end;
  }

  absl::StatusOr<Executor*> ExecutorOf(int threads) {
    std::unique_ptr<Executor>& executor = executors_[threads];
    if (executor == nullptr) {
      ATTN_ASSIGN_OR_RETURN(executor, Executor::Create({.workers = threads}, nullptr));
    }
    return executor.get();
  }

  const CpuIsa isa_;
  const Registry backends_;
  std::unique_ptr<BenchCall> call_;
  std::map<int, std::unique_ptr<Executor>> executors_;  // By number of threads.
};

// The library's exceptions (text that is not JSON, a missing key, another type) end here.
Json AnswerLine(Worker& worker, const std::string& line) {
  try {
    const absl::StatusOr<Json> answer = worker.Answer(Json::parse(line));
    if (answer.ok()) return *answer;
    return Json{{"error", std::string(answer.status().message())}};
  } catch (const Json::exception& error) {
    return Json{{"error", error.what()}};
  }
}

absl::StatusOr<Registry> CreateBackends(CpuIsa isa) {
  auto device = std::make_shared<CpuDevice>();
  device->isa = isa;
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(CreateReferenceBackend());
  backends.push_back(CreateFlashBackend(device));
  backends.push_back(CreateSparseBackend(device, kKeptBlocks));
  return Registry::Create(std::move(backends));
}

int Fail(const absl::Status& status) {
  std::cerr << status << "\n";
  return 1;
}

int Main(int argc, char** argv) {
  CLI::App app("Our side of the CPU attention benchmark");
  std::string isa_name = "auto";
  app.add_option("--isa", isa_name, "instruction set of the CPU's engine; auto = the fastest");
  CLI11_PARSE(app, argc, argv);

  // As in the server: they lock a global graph at every mutex.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  const absl::StatusOr<CpuIsa> isa = ParseCpuIsa(isa_name);
  if (!isa.ok()) return Fail(isa.status());
  absl::StatusOr<Registry> backends = CreateBackends(*isa);
  if (!backends.ok()) return Fail(backends.status());
  Worker worker(*isa, *std::move(backends));
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << AnswerLine(worker, line).dump() << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace attn

int main(int argc, char** argv) { return attn::Main(argc, argv); }
