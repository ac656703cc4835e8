// The flags of `attn load`, and what they ask for.
#ifndef ATTN_CLIENT_CLI_LOAD_FLAGS_H_
#define ATTN_CLIENT_CLI_LOAD_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/prepared_call.h"
#include "client/cli/report.h"
#include "client/cli/shape_flags.h"
#include "client/load/load_session.h"
#include "client/load/runner.h"
#include "client/load/slo.h"
#include "client/load/workload.h"

namespace attn::cli {

// --concurrency and --max_in_flight: one thread each; more than any one machine keeps busy.
inline constexpr int kMaxCallers = 4096;

struct LoadFlags {
  ShapeFlags shape;
  RequestFlags request;
  std::string workload;
  std::vector<std::string> targets;
  int connections = 0;      // 0 = as many as callers, up to a few.
  std::string concurrency;  // Empty = 1, if no flag of an open loop is given.
  std::string rate;
  std::string ramp;
  std::string steps;
  std::string trace;
  std::string arrival;
  int max_in_flight = 0;  // 0 = the default.
  std::optional<absl::Duration> duration;
  std::optional<int64_t> requests;
  std::string warmup = "1s";
  uint64_t seed = 1;
  load::Slo slo;
  bool abort_on_slo = false;
  bool find_max_rate = false;
  load::VerifySampling verify;
  std::optional<double> verify_limit;
  std::optional<bool> progress;  // Absent: where stderr is a terminal.
  std::string json_out;
  std::string csv_out;
  std::string hdr_out;
  std::string html_out;
};

// `flags` outlives `command`.
void AddLoadFlags(CLI::App& command, LoadFlags& flags);

// What the flags come to.
struct LoadTask {
  load::LoadPlan plan;
  load::Workload workload;
  int connections = 0;  // To each server.
};

// INVALID_ARGUMENT names the flag, its value and what is allowed; so do errors of files that are
// read, and of those to be written where that cannot be done.
absl::StatusOr<LoadTask> MakeLoadTask(const CLI::App& command, const LoadFlags& flags);

// The task by the names of its flags, for reports.
Json ConfigJson(const LoadFlags& flags, const LoadTask& task);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_LOAD_FLAGS_H_
