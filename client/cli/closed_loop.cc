#include "client/cli/closed_loop.h"

#include <atomic>
#include <thread>
#include <utility>

#include "absl/time/clock.h"

namespace attn::cli {
namespace {

// After an error, so that a server that refuses at once is not called in a busy loop.
constexpr absl::Duration kErrorPause = absl::Milliseconds(10);

double RequestBytes(const AttendArguments& arguments) {
  double bytes = 0;
  for (const ClientTensor& tensor : arguments.tensors) {
    bytes += static_cast<double>(tensor.data.size());
  }
  return bytes;
}

void AddSuccess(const AttendArguments& arguments, const AttendResult& answer, LoopResult* to) {
  const attention::v1::CallMetrics& metrics = answer.metrics;
  to->latencies_ns.push_back(absl::ToInt64Nanoseconds(answer.client_total));
  ++to->backends[answer.selection.backend()];
  to->payload_bytes += RequestBytes(arguments);
  for (const ReceivedTensor& output : answer.outputs) {
    to->payload_bytes += static_cast<double>(output.data.size());
  }
  to->effective_flops += metrics.effective_flops();
  to->queue_ns += static_cast<double>(metrics.queue_ns());
  to->decode_ns += static_cast<double>(metrics.decode_ns());
  to->plan_ns += static_cast<double>(metrics.plan_ns());
  to->kernel_ns += static_cast<double>(metrics.kernel_ns());
  to->encode_ns += static_cast<double>(metrics.encode_ns());
  to->total_ns += static_cast<double>(metrics.total_ns());
}

void Merge(LoopResult&& from, LoopResult* to) {
  to->latencies_ns.insert(to->latencies_ns.end(), from.latencies_ns.begin(),
                          from.latencies_ns.end());
  for (const auto& [code, count] : from.errors) to->errors[code] += count;
  for (const auto& [backend, count] : from.backends) to->backends[backend] += count;
  to->first_error.Update(from.first_error);
  to->payload_bytes += from.payload_bytes;
  to->effective_flops += from.effective_flops;
  to->queue_ns += from.queue_ns;
  to->decode_ns += from.decode_ns;
  to->plan_ns += from.plan_ns;
  to->kernel_ns += from.kernel_ns;
  to->encode_ns += from.encode_ns;
  to->total_ns += from.total_ns;
}

}  // namespace

LoopResult RunClosedLoop(AttentionClient& client, const std::vector<AttendArguments>& callers,
                         const CallOptions& options, const LoopLimit& limit) {
  std::vector<LoopResult> results(callers.size());
  std::atomic<int64_t> begun = 0;
  const absl::Time start = absl::Now();
  const absl::Time deadline = start + limit.duration;
  const auto run = [&](size_t caller) {
    LoopResult& result = results[caller];
    while (absl::Now() < deadline && begun.fetch_add(1) < limit.requests) {
      const absl::StatusOr<AttendResult> answer = client.Attend(callers[caller], options);
      if (answer.ok()) {
        AddSuccess(callers[caller], *answer, &result);
      } else {
        ++result.errors[absl::StatusCodeToString(answer.status().code())];
        result.first_error.Update(answer.status());
        absl::SleepFor(kErrorPause);
      }
    }
  };
  std::vector<std::thread> threads;
  for (size_t caller = 0; caller < callers.size(); ++caller) threads.emplace_back(run, caller);
  for (std::thread& thread : threads) thread.join();

  LoopResult total;
  total.elapsed = absl::Now() - start;
  for (LoopResult& result : results) Merge(std::move(result), &total);
  return total;
}

}  // namespace attn::cli
