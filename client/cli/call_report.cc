#include "client/cli/call_report.h"

#include <algorithm>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/format.h"
#include "client/cli/response_json.h"
#include "client/cli/table.h"

namespace attn::cli {
namespace {

using attention::v1::CallMetrics;

template <typename T>
T Median(std::vector<T> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Floating-point operations a nanosecond are billions a second.
double EffectiveGflops(const CallMetrics& metrics) {
  return metrics.kernel_ns() > 0 ? metrics.effective_flops() / metrics.kernel_ns() : 0;
}

Json TensorJson(const std::string& name, DType dtype, const std::vector<int64_t>& shape,
                const std::string& pattern) {
  return {
      {"name", name}, {"dtype", std::string(Name(dtype))}, {"shape", shape}, {"pattern", pattern}};
}

Json DifferencesJson(const std::vector<OutputDifference>& differences) {
  Json outputs = Json::array();
  for (const OutputDifference& output : differences) {
    outputs.push_back({{"output", output.output},
                       {"rel_l2", output.difference.rel_l2},
                       {"max_abs", output.difference.max_abs}});
  }
  return outputs;
}

Json CheckJson(const CheckResult& check) {
  const Difference& out = check.outputs.front().difference;
  return {
      {"against", "eager"},       {"rel_l2", out.rel_l2},
      {"max_abs", out.max_abs},   {"limit", check.limit.has_value() ? Json(*check.limit) : Json()},
      {"passed", check.passed()}, {"outputs", DifferencesJson(check.outputs)}};
}

Json CallJson(const CallReport& report) {
  Json json = {{"name", report.call->name}};
  json.update(ToJson(report.result.selection));
  const CallMetrics& metrics = report.result.metrics;
  json["sparsity"] = metrics.sparsity();
  if (metrics.has_block_sparsity()) json["block_sparsity"] = metrics.block_sparsity();
  json["effective_gflop_per_s"] = EffectiveGflops(metrics);
  json["repeats"] = report.repeats;
  json["metrics"] = ToJson(metrics);
  json["client_total_ns"] = absl::ToInt64Nanoseconds(report.result.client_total);
  json["client_decode_ns"] = absl::ToInt64Nanoseconds(report.result.client_decode);
  json["inputs"] = Json::array();
  for (const ClientTensor& tensor : report.call->arguments.tensors) {
    json["inputs"].push_back(TensorJson(tensor.name, tensor.dtype, tensor.shape, tensor.pattern));
  }
  json["outputs"] = Json::array();
  for (const ReceivedTensor& tensor : report.result.outputs) {
    json["outputs"].push_back(TensorJson(tensor.name, tensor.dtype, tensor.shape, tensor.pattern));
  }
  if (report.check.has_value()) json["check"] = CheckJson(*report.check);
  if (!report.agreement.empty()) json["agreement"] = DifferencesJson(report.agreement);
  return json;
}

void PrintSelections(const std::vector<CallReport>& reports) {
  Table table({"call", "q", "k", "v", "backend", "rule", "device"});
  Table refused({"call", "not chosen", "rule", "reason"});
  for (const CallReport& report : reports) {
    std::vector<std::string> row = {report.call->name};
    for (const char* name : {"q", "k", "v"}) {
      const auto& tensors = report.call->arguments.tensors;
      const auto tensor = std::find_if(tensors.begin(), tensors.end(),
                                       [&](const ClientTensor& t) { return t.name == name; });
      row.push_back(tensor == tensors.end() ? "-" : FormatTensor(tensor->dtype, tensor->shape));
    }
    const attention::v1::Selection& selection = report.result.selection;
    row.insert(row.end(), {selection.backend(), RuleName(selection.rule()), selection.device()});
    table.AddRow(std::move(row));
    for (const attention::v1::Refusal& refusal : selection.refused()) {
      refused.AddRow(
          {report.call->name, refusal.backend(), RuleName(refusal.rule()), refusal.reason()});
    }
  }
  std::cout << table.Text();
  if (!refused.empty()) std::cout << "\n" << refused.Text();
}

// What was asked for beside `out`.
void PrintOutputs(const std::vector<CallReport>& reports) {
  Table outputs({"call", "output", "shape"});
  for (const CallReport& report : reports) {
    for (const ReceivedTensor& tensor : report.result.outputs) {
      if (tensor.name == "out") continue;
      outputs.AddRow({report.call->name, tensor.name, FormatTensor(tensor.dtype, tensor.shape)});
    }
  }
  if (!outputs.empty()) std::cout << "\n" << outputs.Text();
}

void PrintMetrics(const std::vector<CallReport>& reports) {
  const int repeats = reports.front().repeats;
  const bool blocks = std::any_of(reports.begin(), reports.end(), [](const CallReport& report) {
    return report.result.metrics.has_block_sparsity();
  });
  std::cout << "\nlatency in ms" << (repeats > 1 ? absl::StrCat(", median of ", repeats) : "")
            << "\n";
  std::vector<std::string> columns = {"call",    ">queue",  ">decode", ">plan",     ">kernel",
                                      ">encode", ">server", ">client", ">sparsity", ">GFLOP/s"};
  if (blocks) columns.emplace_back(">blocks skipped");
  Table table(columns);
  for (const CallReport& report : reports) {
    const CallMetrics& metrics = report.result.metrics;
    const auto ms = [](int64_t ns) { return FormatMs(static_cast<double>(ns)); };
    std::vector<std::string> row = {report.call->name,
                                    ms(metrics.queue_ns()),
                                    ms(metrics.decode_ns()),
                                    ms(metrics.plan_ns()),
                                    ms(metrics.kernel_ns()),
                                    ms(metrics.encode_ns()),
                                    ms(metrics.total_ns()),
                                    ms(absl::ToInt64Nanoseconds(report.result.client_total)),
                                    FormatFixed(metrics.sparsity(), 4),
                                    FormatFixed(EffectiveGflops(metrics), 2)};
    if (blocks) {
      row.push_back(metrics.has_block_sparsity() ? FormatFixed(metrics.block_sparsity(), 4) : "-");
    }
    table.AddRow(std::move(row));
  }
  std::cout << table.Text();
}

void PrintDifferences(const std::vector<CallReport>& reports) {
  Table checks({"call", "against eager", ">rel-L2", ">max error", ">limit", "verdict"});
  Table agreements({"call", "against the file", ">rel-L2", ">max error"});
  for (const CallReport& report : reports) {
    if (report.check.has_value()) {
      for (const OutputDifference& output : report.check->outputs) {
        const bool judged = IsJudged(output.output) && report.check->limit.has_value();
        checks.AddRow({report.call->name, output.output, FormatScientific(output.difference.rel_l2),
                       FormatScientific(output.difference.max_abs),
                       judged ? FormatScientific(*report.check->limit) : "-",
                       judged ? (report.check->passed() ? "pass" : "FAIL") : "-"});
      }
    }
    for (const OutputDifference& output : report.agreement) {
      agreements.AddRow({report.call->name, output.output,
                         FormatScientific(output.difference.rel_l2),
                         FormatScientific(output.difference.max_abs)});
    }
  }
  if (!checks.empty()) std::cout << "\n" << checks.Text();
  if (!agreements.empty()) std::cout << "\n" << agreements.Text();
}

}  // namespace

CallMetrics MedianMetrics(const std::vector<CallMetrics>& metrics) {
  CallMetrics medians = metrics.back();
  const auto median = [&](int64_t (CallMetrics::*get)() const) {
    std::vector<int64_t> values;
    values.reserve(metrics.size());
    for (const CallMetrics& one : metrics) values.push_back((one.*get)());
    return Median(std::move(values));
  };
  medians.set_queue_ns(median(&CallMetrics::queue_ns));
  medians.set_decode_ns(median(&CallMetrics::decode_ns));
  medians.set_plan_ns(median(&CallMetrics::plan_ns));
  medians.set_kernel_ns(median(&CallMetrics::kernel_ns));
  medians.set_encode_ns(median(&CallMetrics::encode_ns));
  medians.set_total_ns(median(&CallMetrics::total_ns));
  return medians;
}

absl::Duration MedianDuration(std::vector<absl::Duration> durations) {
  return Median(std::move(durations));
}

Json CallsJson(const std::vector<CallReport>& reports) {
  Json calls = Json::array();
  for (const CallReport& report : reports) calls.push_back(CallJson(report));
  return {{"calls", std::move(calls)}};
}

void PrintCalls(const std::vector<CallReport>& reports) {
  PrintSelections(reports);
  PrintOutputs(reports);
  PrintMetrics(reports);
  PrintDifferences(reports);
  std::cout.flush();
}

}  // namespace attn::cli
