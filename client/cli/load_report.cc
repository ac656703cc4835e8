#include "client/cli/load_report.h"

#include <algorithm>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/format.h"
#include "client/cli/latency_summary.h"
#include "client/cli/table.h"

namespace attn::cli {
namespace {

struct Stage {
  const char* name;
  double mean_ns;
};

// Means over the calls that succeeded, by the server's own clock.
std::vector<Stage> MeanStages(const LoopResult& result) {
  const double count = std::max<double>(1, static_cast<double>(result.latencies_ns.size()));
  return {{"queue", result.queue_ns / count},   {"decode", result.decode_ns / count},
          {"plan", result.plan_ns / count},     {"kernel", result.kernel_ns / count},
          {"encode", result.encode_ns / count}, {"total", result.total_ns / count}};
}

int64_t ErrorCount(const LoopResult& result) {
  int64_t count = 0;
  for (const auto& [code, errors] : result.errors) count += errors;
  return count;
}

double PerSecond(double amount, const LoopResult& result) {
  const double seconds = absl::ToDoubleSeconds(result.elapsed);
  return seconds > 0 ? amount / seconds : 0;
}

}  // namespace

Json LoadJson(const LoadReport& report) {
  const LoopResult& result = report.result;
  Json tensors = Json::array();
  for (const TensorSpec& tensor : report.tensors) {
    tensors.push_back({{"name", tensor.name},
                       {"dtype", std::string(Name(tensor.dtype))},
                       {"shape", tensor.shape},
                       {"pattern", tensor.pattern}});
  }
  Json stages;
  for (const Stage& stage : MeanStages(result)) stages[stage.name] = stage.mean_ns / 1e6;
  Json load = {{"tensors", std::move(tensors)},
               {"concurrency", report.concurrency},
               {"connections", report.connections},
               {"seconds", absl::ToDoubleSeconds(result.elapsed)},
               {"completed", result.latencies_ns.size()},
               {"failed", ErrorCount(result)},
               {"errors", result.errors},
               {"backends", result.backends},
               {"calls_per_s", PerSecond(static_cast<double>(result.latencies_ns.size()), result)},
               {"gb_per_s", PerSecond(result.payload_bytes / 1e9, result)},
               {"effective_gflop_per_s", PerSecond(result.effective_flops / 1e9, result)},
               {"latency_ms", MillisecondsJson(Summarise(result.latencies_ns))},
               {"server_mean_ms", std::move(stages)}};
  if (!result.first_error.ok()) load["first_error"] = ErrorJson(result.first_error);
  return {{"load", std::move(load)}};
}

void PrintLoad(const LoadReport& report) {
  const LoopResult& result = report.result;
  const double completed = static_cast<double>(result.latencies_ns.size());
  const auto format_count = [](std::string* out, const auto& entry) {
    absl::StrAppend(out, entry.first, " ", entry.second);
  };
  Table table({"load", ">"});
  for (const TensorSpec& tensor : report.tensors) {
    table.AddRow({tensor.name, FormatTensor(tensor.dtype, tensor.shape)});
  }
  table.AddRow({"callers", absl::StrCat(report.concurrency)});
  table.AddRow({"connections", absl::StrCat(report.connections)});
  table.AddRow({"seconds", FormatFixed(absl::ToDoubleSeconds(result.elapsed), 2)});
  table.AddRow({"completed", absl::StrCat(result.latencies_ns.size())});
  table.AddRow({"backends", absl::StrJoin(result.backends, ", ", format_count)});
  table.AddRow({"failed", absl::StrCat(ErrorCount(result))});
  table.AddRow({"calls/s", FormatFixed(PerSecond(completed, result), 1)});
  table.AddRow({"GB/s both ways", FormatFixed(PerSecond(result.payload_bytes / 1e9, result), 3)});
  table.AddRow(
      {"effective GFLOP/s", FormatFixed(PerSecond(result.effective_flops / 1e9, result), 2)});
  std::cout << table.Text();

  const LatencySummary summary = Summarise(result.latencies_ns);
  Table latencies({"latency", ">ms"});
  latencies.AddRow({"mean", FormatMs(summary.mean_ns)});
  for (const auto& [name, ns] : summary.percentiles) latencies.AddRow({name, FormatMs(ns)});
  latencies.AddRow({"max", FormatMs(summary.max_ns)});
  std::cout << "\n" << latencies.Text();

  Table stages({"server, mean", ">ms"});
  for (const Stage& stage : MeanStages(result)) {
    stages.AddRow({stage.name, FormatMs(stage.mean_ns)});
  }
  std::cout << "\n" << stages.Text();

  Table errors({"error", ">count"});
  for (const auto& [code, count] : result.errors) errors.AddRow({code, absl::StrCat(count)});
  if (!errors.empty()) std::cout << "\n" << errors.Text();
  std::cout.flush();
}

}  // namespace attn::cli
