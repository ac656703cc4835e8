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

// Few: the benchmark measures between its shapes again.
constexpr int kTrials = 3;

// Some 50 us of any loop here between two looks at the clock, and 100 ms a trial: a hundred times
// what a thread may begin later than another.
constexpr int64_t kRoundsPerLook = 10'000;
constexpr std::chrono::milliseconds kTrial(100);

// 32 times the last-level cache of this project's machines.
constexpr int64_t kReadBytes = int64_t{1} << 30;

using Clock = std::chrono::steady_clock;

// What one thread did in a trial, on its own clock: who waits for the threads may wake late.
struct Part {
  double done = 0;
  Clock::time_point begin;
  Clock::time_point end;
};

double RateOf(const std::vector<Part>& parts) {
  double done = 0;
  Clock::time_point begin = parts.front().begin;
  Clock::time_point end = parts.front().end;
  for (const Part& part : parts) {
    done += part.done;
    begin = std::min(begin, part.begin);
    end = std::max(end, part.end);
  }
  return done / std::chrono::duration<double>(end - begin).count();
}

// Best rate over the trials. `run(thread)` returns what it did; each trial starts on all threads
// at once and lasts until the last of them is done.
double BestRate(int threads, const std::function<double(int)>& run) {
  std::vector<Part> parts(static_cast<size_t>(threads));
  std::barrier gate(threads + 1);
  std::vector<std::thread> workers;
  for (int thread = 0; thread < threads; ++thread) {
    workers.emplace_back([&, thread] {
      Part& part = parts[static_cast<size_t>(thread)];
      for (int trial = 0; trial < kTrials; ++trial) {
        gate.arrive_and_wait();
        part.begin = Clock::now();
        part.done = run(thread);
        part.end = Clock::now();
        gate.arrive_and_wait();
      }
    });
  }
  double best = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    gate.arrive_and_wait();
    gate.arrive_and_wait();
    best = std::max(best, RateOf(parts));
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
