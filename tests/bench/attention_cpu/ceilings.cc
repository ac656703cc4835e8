#include "tests/bench/attention_cpu/ceilings.h"

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "kernels/core/aligned_buffer.h"
#include "tests/bench/attention_cpu/machine_loops.h"

namespace attn {
namespace {

// Few: the benchmark measures between its shapes again and keeps the best.
constexpr int kTrials = 3;

// Some 50 us of any loop here between two looks at the clock, and 100 ms a trial: a hundred times
// what a thread may begin later than another.
constexpr int64_t kRoundsPerLook = 10'000;
constexpr std::chrono::milliseconds kTrial(100);

// 32 times the last-level cache of this project's machines.
constexpr int64_t kReadBytes = int64_t{1} << 30;

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Best rate over the trials. `run(thread)` returns what it did; each trial starts on all threads
// at once and lasts until the last of them is done.
double BestRate(int threads, const std::function<double(int)>& run) {
  std::vector<double> done(static_cast<size_t>(threads));
  std::barrier gate(threads + 1);
  std::vector<std::thread> workers;
  for (int thread = 0; thread < threads; ++thread) {
    workers.emplace_back([&, thread] {
      for (int trial = 0; trial < kTrials; ++trial) {
        gate.arrive_and_wait();
        done[static_cast<size_t>(thread)] = run(thread);
        gate.arrive_and_wait();
      }
    });
  }
  double best = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    gate.arrive_and_wait();
    const Clock::time_point begin = Clock::now();
    gate.arrive_and_wait();
    const double seconds = SecondsSince(begin);
    double sum = 0;
    for (const double part : done) sum += part;
    best = std::max(best, sum / seconds);
  }
  for (std::thread& worker : workers) worker.join();
  return best;
}

double LoopGflops(int threads, RegisterLoop loop) {
  if (loop == nullptr) return 0;
  return 1e-9 * BestRate(threads, [loop](int /*thread*/) {
           double flops = 0;
           for (const Clock::time_point begin = Clock::now(); Clock::now() - begin < kTrial;) {
             flops += loop(kRoundsPerLook);
           }
           return flops;
         });
}

double ReadGbPerS(int threads) {
  const AlignedBuffer buffer = AlignedBuffer::Allocate(kReadBytes);
  if (buffer.data() == nullptr) return 0;
  std::memset(buffer.data(), 1, static_cast<size_t>(kReadBytes));  // Pages of its own.
  const int64_t part = kReadBytes / threads / kReadMultiple * kReadMultiple;
  const ReadLoop read = WidestReadLoop();
  return 1e-9 * BestRate(threads, [&](int thread) {
           volatile uint64_t sum = read(buffer.data() + thread * part, part);
           static_cast<void>(sum);
           return static_cast<double>(part);
         });
}

}  // namespace

Ceilings MeasureCeilings(int threads) {
  return {.fp32_gflops = LoopGflops(threads, Fp32Loop()),
          .bf16_dot_gflops = LoopGflops(threads, Bf16DotLoop()),
          .amx_gflops = LoopGflops(threads, AmxLoop()),
          .read_gb_per_s = ReadGbPerS(threads)};
}

}  // namespace attn
