// What launching calls together brings and costs: calls of one executor with batching on and off,
// in turn within one run, by 16 callers that each wait for one call before the next.
//
//   batching_bench --json FILE [--seconds S] [--rounds N] [--launch_us U]
//
// `device` is a stand-in whose every launch takes `launch_us` and 5 us a call; `flash` computes
// 1x8x128x64 on the CPU. Reports; asserts nothing.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "kernels/engines/cpu/flash_backend.h"
#include "nlohmann/json.hpp"
#include "server/executor/executor.h"

namespace attn {
namespace {

constexpr int kCallers = 16;

struct Arguments {
  std::string json = "batching.json";
  double seconds = 1;  // A measurement.
  int rounds = 5;      // Of each side.
  int launch_us = 500;
};

class NothingExecution final : public Execution {
 public:
  int phase_count() const override { return 0; }
  Phase phase(int /*index*/) override { return {}; }
  absl::Status RunTile(int /*phase*/, int64_t /*tile*/, Scratch& /*scratch*/) override {
    return absl::OkStatus();
  }
  absl::StatusOr<RunResult> Finish() override { return RunResult{}; }
};

// A device that charges for each launch and computes nothing; the host sleeps meanwhile.
class LaunchCostBackend final : public Backend {
 public:
  explicit LaunchCostBackend(absl::Duration launch) : launch_(launch) {
    info_.name = "device";
    info_.device = "test:0";
  }

  const BackendInfo& info() const override { return info_; }
  int64_t WorkspaceBytes(const AttentionProblem& /*problem*/, const OptionMap&) const override {
    return 0;
  }
  absl::StatusOr<std::unique_ptr<Execution>> Prepare(const AttentionCall& /*call*/) const override {
    return std::make_unique<NothingExecution>();
  }
  bool launches_batches() const override { return true; }
  void Launch(std::span<Execution* const> executions,
              std::span<absl::Status> /*statuses*/) const override {
    absl::SleepFor(launch_ + absl::Microseconds(5) * static_cast<int>(executions.size()));
  }

 private:
  const absl::Duration launch_;
  BackendInfo info_;
};

// The tensors of one caller.
struct Tensors {
  static constexpr int64_t kDims[] = {1, 8, 128, 64};

  explicit Tensors(unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (auto& input : inputs) {
      for (float& value : input) value = normal(random);
    }
  }

  AttentionCall Call() {
    AttentionCall call;
    AttentionProblem& problem = call.problem;
    problem.batch = 1;
    problem.heads = problem.kv_heads = kDims[1];
    problem.query_len = problem.key_len = kDims[2];
    problem.head_dim = problem.value_dim = kDims[3];
    problem.scale = 0.125;
    problem.mask = *IntervalMask::Create({}, 1, kDims[2], kDims[2]);
    const TensorLayout layout = TensorLayout::Contiguous(kDims);
    TensorView* const views[] = {&call.q, &call.k, &call.v};
    for (size_t i = 0; i < 3; ++i) {
      *views[i] = {reinterpret_cast<const std::byte*>(inputs[i].data()), DType::kFloat32, layout};
    }
    call.out = {reinterpret_cast<std::byte*>(out.data()), DType::kFloat32, layout};
    return call;
  }

  std::vector<float> inputs[3] = {std::vector<float>(8 * 128 * 64),
                                  std::vector<float>(8 * 128 * 64),
                                  std::vector<float>(8 * 128 * 64)};
  std::vector<float> out = std::vector<float>(8 * 128 * 64);
};

struct Measurement {
  double calls_per_s = 0;
  double p50_us = 0;
  double mean_batch = 0;
};

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

Measurement Measure(const Backend& backend, int max_batch_calls, double seconds) {
  const auto executor =
      Executor::Create({.workers = 0, .limits = {.max_batch_calls = max_batch_calls}}, nullptr);
  if (!executor.ok()) {
    std::cerr << executor.status() << "\n";
    std::exit(1);
  }
  std::vector<std::vector<double>> latencies_us(kCallers);
  std::atomic<int64_t> batches = 0;
  const absl::Time end = absl::Now() + absl::Seconds(seconds);
  std::vector<std::thread> callers;
  for (unsigned caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&, caller] {
      Tensors tensors(caller);
      while (absl::Now() < end) {
        absl::Notification ended;
        Job job;
        job.backend = &backend;
        job.call = tensors.Call();
        job.caller_id = std::to_string(caller);
        job.done = [&](JobOutcome outcome) {
          batches += outcome.batch_calls;
          ended.Notify();
        };
        const auto began = std::chrono::steady_clock::now();
        if (!(*executor)->Submit(std::move(job)).ok()) std::exit(1);
        ended.WaitForNotification();
        latencies_us[caller].push_back(
            std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - began)
                .count());
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  std::vector<double> all;
  for (const auto& of_caller : latencies_us)
    all.insert(all.end(), of_caller.begin(), of_caller.end());
  const auto calls = static_cast<double>(all.size());
  return {calls / seconds, Median(std::move(all)), static_cast<double>(batches) / calls};
}

nlohmann::ordered_json Compare(const Backend& backend, const Arguments& arguments) {
  std::vector<double> rates[2], latencies[2], sizes[2], rate_ratios, latency_ratios;
  for (int round = 0; round < arguments.rounds; ++round) {
    Measurement sides[2];  // Off, on: a pair sees the same machine.
    for (const int side : {0, 1}) {
      sides[side] = Measure(backend, side == 0 ? 1 : kCallers, arguments.seconds);
      rates[side].push_back(sides[side].calls_per_s);
      latencies[side].push_back(sides[side].p50_us);
      sizes[side].push_back(sides[side].mean_batch);
    }
    rate_ratios.push_back(sides[1].calls_per_s / sides[0].calls_per_s);
    latency_ratios.push_back(sides[1].p50_us / sides[0].p50_us);
  }
  nlohmann::ordered_json report;
  const char* const names[] = {"off", "on"};
  for (const int side : {0, 1}) {
    report[names[side]] = {{"calls_per_s", Median(rates[side])},
                           {"p50_us", Median(latencies[side])},
                           {"batch_calls", Median(sizes[side])}};
    std::cout << std::left << std::setw(8) << backend.info().name << std::setw(5) << names[side]
              << std::right << std::fixed << std::setprecision(0) << std::setw(11)
              << Median(rates[side]) << std::setprecision(1) << std::setw(11)
              << Median(latencies[side]) << std::setw(11) << Median(sizes[side]) << "\n";
  }
  report["throughput_on_to_off"] = Median(rate_ratios);
  report["p50_on_to_off"] = Median(latency_ratios);
  std::cout << std::left << std::setw(13) << backend.info().name << std::right
            << std::setprecision(3) << std::setw(11) << Median(rate_ratios) << std::setw(11)
            << Median(latency_ratios) << "    on / off, median of pairs\n";
  return report;
}

int Main(int argc, char** argv) {
  CLI::App app("Batching on and off");
  Arguments arguments;
  app.add_option("--json", arguments.json, "where the figures go");
  app.add_option("--seconds", arguments.seconds, "of a measurement")->check(CLI::Range(0.01, 60.0));
  app.add_option("--rounds", arguments.rounds, "pairs of measurements")->check(CLI::Range(1, 1000));
  app.add_option("--launch_us", arguments.launch_us, "cost of a launch")
      ->check(CLI::Range(0, 1'000'000));
  CLI11_PARSE(app, argc, argv);

  nlohmann::ordered_json report = {
      {"benchmark", "batching"},          {"callers", kCallers},
      {"launch_us", arguments.launch_us}, {"seconds", arguments.seconds},
      {"rounds", arguments.rounds},       {"cores", std::thread::hardware_concurrency()}};
  std::cout << kCallers << " callers, medians of " << arguments.rounds
            << " rounds\nbackend batching calls/s     p50 us batch calls\n";
  const LaunchCostBackend device{absl::Microseconds(arguments.launch_us)};
  report["device"] = Compare(device, arguments);
  const auto flash = CreateFlashBackend(std::make_shared<CpuDevice>());
  report["flash"] = Compare(*flash, arguments);
  std::ofstream(arguments.json) << report.dump(2) << "\n";
  return 0;
}

}  // namespace
}  // namespace attn

int main(int argc, char** argv) { return attn::Main(argc, argv); }
