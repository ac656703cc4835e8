#include "client/load/runner.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

namespace attn::load {
namespace {

// Of a caller after an error, so that a server that refuses at once is not called in a busy loop.
// In an open loop another caller makes the next call meanwhile.
constexpr absl::Duration kErrorPause = absl::Milliseconds(10);

constexpr absl::Duration kProgressInterval = absl::Milliseconds(500);

// Calls that must have ended before a run is given up for its figures.
constexpr int64_t kMinCallsToAbort = 100;

constexpr uint64_t kVerifyStream = 2;

// One run. The callers' threads end before the object does.
class Run {
 public:
  Run(const std::vector<Target>& targets, const CallMix& mix, CallSource& source,
      const RunOptions& options)
      : targets_(targets),
        mix_(mix),
        source_(source),
        options_(options),
        measurements_(mix.entry_count()) {}

  absl::StatusOr<RunResult> Execute() {
    const std::stop_callback stop(options_.stop, [this] { EndEarly(); });
    std::vector<std::thread> callers;
    callers_left_ = options_.callers;
    const absl::Status started = StartCallers(&callers);
    if (!started.ok()) EndEarly();
    start_ = std::chrono::steady_clock::now();
    begin_.Notify();
    if (started.ok()) Watch();
    for (std::thread& caller : callers) caller.join();
    if (!started.ok()) return started;
    absl::MutexLock lock(&mutex_);
    return RunResult{.measurements = std::move(measurements_),
                     .elapsed = last_end_,
                     .max_in_flight = max_in_flight_,
                     .aborted = stop_.HasBeenNotified()};
  }

 private:
  // Steady: a clock that is set while a run lasts changes no latency.
  absl::Duration Now() const { return absl::FromChrono(std::chrono::steady_clock::now() - start_); }

  absl::Status StartCallers(std::vector<std::thread>* callers) {
    try {
      while (std::ssize(*callers) < options_.callers) {
        callers->emplace_back([this] { MakeCalls(); });
      }
    } catch (const std::system_error&) {  // What std::thread throws when there is none left.
      return absl::ResourceExhaustedError(
          absl::StrCat("the system has no thread for caller ", callers->size() + 1, " of ",
                       options_.callers, "; --concurrency and --max_in_flight allow fewer"));
    }
    return absl::OkStatus();
  }

  // From any thread, any number of times.
  void EndEarly() {
    if (!ending_early_.exchange(true)) stop_.Notify();
  }

  void MakeCalls() {
    begin_.WaitForNotification();
    while (!stop_.HasBeenNotified()) {
      const std::optional<PlannedCall> call = source_.Take(Now());
      if (!call.has_value()) break;
      if (call->overdue) {
        absl::MutexLock lock(&mutex_);
        measurements_.AddNotSent(mix_.Pick(call->index), call->intended);
      } else {
        MakeCall(*call);
      }
    }
    if (callers_left_.fetch_sub(1) == 1) finished_.Notify();
  }

  // Once it is due; not at all if the run ends before.
  void MakeCall(const PlannedCall& call) {
    const Target& target = targets_[static_cast<size_t>(call.index) % targets_.size()];
    CallOutcome outcome = {.entry = mix_.Pick(call.index), .intended = call.intended};
    outcome.request_bytes = mix_.payload_bytes(outcome.entry);
    const AttendArguments& arguments = mix_.arguments(outcome.entry);
    // From here to the server nothing waits for another caller: it would count as latency.
    const absl::Duration due_in = std::max(absl::ZeroDuration(), call.intended - Now());
    if (stop_.WaitForNotificationWithTimeout(due_in)) return;
    outcome.sent = Now();
    CountInFlight();
    const absl::StatusOr<AttendResult> result = target.client->Attend(arguments, options_.call);
    outcome.ended = Now();
    --in_flight_;
    outcome.result = &result;
    if (result.ok() && IsSampled(call.index)) outcome.verdict = target.verify(arguments, *result);
    {
      absl::MutexLock lock(&mutex_);
      measurements_.Add(outcome);
      last_end_ = std::max(last_end_, outcome.ended);
    }
    if (!result.ok()) stop_.WaitForNotificationWithTimeout(kErrorPause);
  }

  bool IsSampled(int64_t index) const {
    const VerifySampling& sampling = options_.verify;
    if (sampling.every > 0) return index % sampling.every == 0;
    return sampling.share > 0 && DrawUniform(options_.seed, kVerifyStream, index) < sampling.share;
  }

  void CountInFlight() {
    const int in_flight = ++in_flight_;
    int most = max_in_flight_;
    while (most < in_flight && !max_in_flight_.compare_exchange_weak(most, in_flight)) {
    }
  }

  // Until the last caller has ended.
  void Watch() {
    LiveFigures figures;
    while (!finished_.WaitForNotificationWithTimeout(kProgressInterval)) {
      if (IsGivenUp()) EndEarly();
      if (!options_.progress) continue;
      figures = FiguresSince(figures);
      options_.progress(figures);
    }
  }

  bool IsGivenUp() {
    absl::MutexLock lock(&mutex_);
    return measurements_.calls() >= kMinCallsToAbort &&
           !Violations(options_.abort_slo, measurements_).empty();
  }

  LiveFigures FiguresSince(const LiveFigures& last) {
    LiveFigures figures = {.elapsed = Now(), .in_flight = in_flight_};
    Histogram latency;
    {
      // Callers wait for it: copies alone.
      absl::MutexLock lock(&mutex_);
      figures.completed = measurements_.completed;
      figures.failed = measurements_.failed;
      latency = measurements_.latency;
    }
    figures.calls_per_s = static_cast<double>(figures.completed - last.completed) /
                          absl::ToDoubleSeconds(figures.elapsed - last.elapsed);
    figures.p50_ns = latency.ValueAtPercentile(50);
    figures.p99_ns = latency.ValueAtPercentile(99);
    return figures;
  }

  const std::vector<Target>& targets_;
  const CallMix& mix_;
  CallSource& source_;
  const RunOptions& options_;
  std::chrono::steady_clock::time_point start_;  // Written before begin_ is notified.
  absl::Notification begin_;
  absl::Notification stop_;  // Early.
  std::atomic<bool> ending_early_ = false;
  absl::Notification finished_;  // No caller is left.
  std::atomic<int> callers_left_ = 0;
  std::atomic<int> in_flight_ = 0;
  std::atomic<int> max_in_flight_ = 0;
  absl::Mutex mutex_;
  Measurements measurements_ ABSL_GUARDED_BY(mutex_);
  absl::Duration last_end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<RunResult> RunCalls(const std::vector<Target>& targets, const CallMix& mix,
                                   CallSource& source, const RunOptions& options) {
  return Run(targets, mix, source, options).Execute();
}

}  // namespace attn::load
