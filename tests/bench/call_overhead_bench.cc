// What a server adds to a small call, by stage: medians over calls of 1x8x128x64 in turn.
//
//   call_overhead_bench --server ADDRESS --json FILE [--calls N]
//
// `own` is the server's total less its kernel; `outside` is the client's total less the server's:
// gRPC, the socket and the client. Reports; asserts nothing.
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "client/attention_client.h"
#include "nlohmann/json.hpp"

namespace attn {
namespace {

constexpr int kWarmupCalls = 200;

struct Arguments {
  std::string server;
  std::string json = "call_overhead.json";
  int calls = 3000;
};

double MedianUs(std::vector<int64_t>& values_ns) {
  const auto middle = values_ns.begin() + static_cast<int64_t>(values_ns.size() / 2);
  std::nth_element(values_ns.begin(), middle, values_ns.end());
  return 1e-3 * static_cast<double>(*middle);
}

int Run(const Arguments& arguments) {
  ClientOptions options;
  options.server = arguments.server;
  const auto client = AttentionClient::Create(options);
  if (!client.ok()) {
    std::cerr << client.status() << "\n";
    return 1;
  }
  std::vector<float> values(8 * 128 * 64);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (float& value : values) value = normal(random);
  AttendArguments call;
  for (const char* name : {"q", "k", "v"}) {
    ClientTensor tensor;
    tensor.name = name;
    tensor.shape = {1, 8, 128, 64};
    tensor.data = std::as_bytes(std::span(values));
    call.tensors.push_back(std::move(tensor));
  }
  const char* const names[] = {"queue", "decode", "plan",   "kernel", "encode",
                               "total", "own",    "client", "outside"};
  std::vector<std::vector<int64_t>> times(std::size(names));
  for (int i = -kWarmupCalls; i < arguments.calls; ++i) {
    const absl::StatusOr<AttendResult> result = (*client)->Attend(call, {});
    if (!result.ok()) {
      std::cerr << result.status() << "\n";
      return 1;
    }
    if (i < 0) continue;
    const auto& metrics = result->metrics;
    const int64_t seen = absl::ToInt64Nanoseconds(result->client_total);
    const int64_t row[] = {metrics.queue_ns(),
                           metrics.decode_ns(),
                           metrics.plan_ns(),
                           metrics.kernel_ns(),
                           metrics.encode_ns(),
                           metrics.total_ns(),
                           metrics.total_ns() - metrics.kernel_ns(),
                           seen,
                           seen - metrics.total_ns()};
    for (size_t stage = 0; stage < times.size(); ++stage) times[stage].push_back(row[stage]);
  }
  nlohmann::ordered_json report = {{"benchmark", "call_overhead"},
                                   {"shape", "1x8x128x64 fp32"},
                                   {"calls", arguments.calls},
                                   {"cores", std::thread::hardware_concurrency()}};
  std::cout << "1x8x128x64 fp32, median microseconds of " << arguments.calls << " calls\n";
  for (size_t stage = 0; stage < times.size(); ++stage) {
    const double median = MedianUs(times[stage]);
    report[std::string(names[stage]) + "_us"] = median;
    std::cout << std::left << std::setw(9) << names[stage] << std::right << std::fixed
              << std::setprecision(1) << std::setw(9) << median << "\n";
  }
  std::ofstream(arguments.json) << report.dump(2) << "\n";
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app("Overhead of a small call, by stage");
  Arguments arguments;
  app.add_option("--server", arguments.server, "host:port or unix:PATH")->required();
  app.add_option("--json", arguments.json, "where the figures go");
  app.add_option("--calls", arguments.calls, "counted calls")->check(CLI::Range(1, 1'000'000));
  CLI11_PARSE(app, argc, argv);
  return Run(arguments);
}

}  // namespace
}  // namespace attn

int main(int argc, char** argv) { return attn::Main(argc, argv); }
