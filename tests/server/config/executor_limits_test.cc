// The options that the server's configuration accepts are those that its executor accepts; config
// may not include the executor, so that each states the bounds.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "server/config/server_options.h"
#include "server/executor/executor.h"

namespace attn {
namespace {

ExecutorOptions OfServer(const ServerOptions& options) {
  return {.workers = options.workers,
          .max_waiting = options.max_waiting_calls,
          .max_running = options.max_running_calls,
          .max_admitted_bytes = options.max_admitted_bytes};
}

TEST(ExecutorLimits, ConfigurationAndExecutorHaveTheSameBounds) {
  struct Row {
    const char* name;
    ServerOptions options;
    bool allowed;
  };
  const Row rows[] = {
      {"least workers", {.workers = 0}, true},
      {"too few workers", {.workers = -1}, false},
      {"most workers", {.workers = kMaxWorkers}, true},
      {"too many workers", {.workers = kMaxWorkers + 1}, false},
      {"least waiting", {.workers = 1, .max_waiting_calls = 0}, true},
      {"too few waiting", {.workers = 1, .max_waiting_calls = -1}, false},
      {"most waiting", {.workers = 1, .max_waiting_calls = kMaxWaiting}, true},
      {"too many waiting", {.workers = 1, .max_waiting_calls = kMaxWaiting + 1}, false},
      {"least running", {.workers = 1, .max_running_calls = 1}, true},
      {"too few running", {.workers = 1, .max_running_calls = 0}, false},
      {"most running", {.workers = 1, .max_running_calls = kMaxRunning}, true},
      {"too many running", {.workers = 1, .max_running_calls = kMaxRunning + 1}, false},
      {"least bytes", {.workers = 1, .max_admitted_bytes = 1}, true},
      {"too few bytes", {.workers = 1, .max_admitted_bytes = 0}, false},
      {"most bytes", {.workers = 1, .max_admitted_bytes = kMaxAdmittedBytes}, true},
      {"too many bytes", {.workers = 1, .max_admitted_bytes = kMaxAdmittedBytes + 1}, false},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(Validate(row.options).ok(), row.allowed) << row.name;
    EXPECT_EQ(Executor::Create(OfServer(row.options), nullptr).ok(), row.allowed) << row.name;
  }
}

TEST(ExecutorLimits, ConfigurationAndExecutorHaveTheSameDefaults) {
  const ExecutorOptions configured = OfServer(ServerOptions());
  const ExecutorOptions defaults;
  EXPECT_EQ(configured.workers, defaults.workers);
  EXPECT_EQ(configured.max_waiting, defaults.max_waiting);
  EXPECT_EQ(configured.max_running, defaults.max_running);
  EXPECT_EQ(configured.max_admitted_bytes, defaults.max_admitted_bytes);
}

}  // namespace
}  // namespace attn
