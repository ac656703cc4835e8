#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/load_flags.h"
#include "client/cli/parse_values.h"
#include "client/golden/safetensors.h"
#include "client/load/entry_json.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

constexpr size_t kMaxConcurrencySteps = 64;

// Connections unless --connections says otherwise: beyond four, one host gains nothing.
constexpr int kMaxDefaultConnections = 4;

// At 200 calls a second more than a second's stall; each is a thread that mostly sleeps.
constexpr int kDefaultMaxInFlight = 256;

constexpr absl::Duration kDefaultDuration = absl::Seconds(5);

// The first option of the groups `names` that was given; empty = none.
std::string GivenOption(const CLI::App& command, const std::set<std::string>& names) {
  for (const CLI::App* group : command.get_subcommands([](const CLI::App*) { return true; })) {
    if (!names.contains(group->get_group())) continue;
    for (const CLI::Option* option : group->get_options()) {
      if (option->count() > 0) return option->get_name();
    }
  }
  return "";
}

absl::StatusOr<load::Workload> MakeWorkload(const CLI::App& command, const LoadFlags& flags) {
  if (!flags.workload.empty()) {
    const std::string given = GivenOption(command, {"Shape", "Selection", "Mask", "Scores",
                                                    "Stages", "Layout", "Outputs", "Metadata"});
    if (given.empty()) return load::ReadWorkload(flags.workload);
    return absl::InvalidArgumentError(absl::StrCat(
        given, " with --workload: the file says what is called; allowed: one of them"));
  }
  if (flags.shape.empty()) {
    return absl::InvalidArgumentError(
        "--shape: missing (or --q_shape, --k_shape, --v_shape, or --workload)");
  }
  load::Entry entry;
  ATTN_RETURN_IF_ERROR(Apply(flags.request, &entry.request));
  ATTN_ASSIGN_OR_RETURN(entry.tensors,
                        MakeTensorSpecs(flags.shape, flags.request.layout, entry.request));
  ATTN_RETURN_IF_ERROR(load::CheckTogether(entry.tensors, entry.request));
  entry.name = absl::StrJoin(entry.tensors[0].shape, "x");
  return load::Workload{{entry}};
}

// `--warmup`: a time or a number of calls; 0 = none.
absl::StatusOr<load::RunLimit> WarmupLimit(const std::string& text) {
  load::RunLimit limit;
  if (absl::SimpleAtoi(text, &limit.requests)) {
    if (limit.requests >= 0) return limit;
  } else if (const auto duration = ParseDuration("--warmup", text); duration.ok()) {
    return load::RunLimit{.duration = *duration};
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--warmup: ", Quoted(text), "; allowed: a time (500ms, 2s) or a number of calls (20, 0)"));
}

absl::StatusOr<std::vector<int>> ParseConcurrency(const std::string& text) {
  if (text.empty()) return std::vector<int>{1};
  std::vector<int> steps;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    int callers = 0;
    if (!absl::SimpleAtoi(part, &callers) || callers < 1 || callers > kMaxCallers ||
        steps.size() == kMaxConcurrencySteps) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--concurrency: ", Quoted(text), "; allowed: up to ", kMaxConcurrencySteps,
          " numbers of 1 to ", kMaxCallers, " with commas between them, as in 1,2,4,8"));
    }
    steps.push_back(callers);
  }
  return steps;
}

// Which flag makes the loop an open one; empty = none, a closed loop.
absl::StatusOr<std::string> OpenLoopFlag(const LoadFlags& flags) {
  std::vector<std::string> given;
  if (!flags.rate.empty()) given.push_back("--rate");
  if (!flags.ramp.empty()) given.push_back("--ramp");
  if (!flags.steps.empty()) given.push_back("--steps");
  if (!flags.trace.empty()) given.push_back("--trace");
  if (given.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(given[0], " with ", given[1], "; allowed: one of them"));
  }
  if (given.empty()) {
    for (const auto& [flag, is_given] : {std::pair("--arrival", !flags.arrival.empty()),
                                         std::pair("--max_in_flight", flags.max_in_flight != 0),
                                         std::pair("--find_max_rate", flags.find_max_rate)}) {
      if (is_given) {
        return absl::InvalidArgumentError(
            absl::StrCat(flag, " without a rate; allowed: with --rate",
                         flags.find_max_rate ? "" : ", --ramp, --steps or --trace"));
      }
    }
    return std::string();
  }
  if (!flags.concurrency.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        given[0], " with --concurrency; allowed: ", given[0],
        " (open loop: calls are sent when they are due; --max_in_flight bounds how many wait) or "
        "--concurrency (closed loop: each caller waits for its answer)"));
  }
  return given[0];
}

absl::Status CheckSearch(const LoadFlags& flags) {
  if (flags.abort_on_slo && flags.slo.empty()) {
    return absl::InvalidArgumentError(
        "--abort_on_slo: no service level; allowed: with --max_p99_ms or --max_error_rate");
  }
  if (flags.verify_limit.has_value() && flags.verify.every == 0 && flags.verify.share == 0) {
    return absl::InvalidArgumentError(
        "--verify_limit: nothing is verified; allowed: with --verify_every or --verify_rate");
  }
  if (!flags.find_max_rate) return absl::OkStatus();
  if (flags.rate.empty()) {
    return absl::InvalidArgumentError("--find_max_rate: no rate to begin with; allowed: --rate");
  }
  if (flags.requests.has_value()) {
    return absl::InvalidArgumentError(
        "--requests with --find_max_rate: every try lasts --duration; allowed: one of them");
  }
  if (!flags.slo.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "--find_max_rate: no service level; allowed: with --max_p99_ms, --max_error_rate or both");
}

// Of the run, for people.
std::string OpenLabel(const LoadFlags& flags) {
  if (!flags.trace.empty()) return absl::StrCat("calls as in ", flags.trace);
  const char* spacing = flags.arrival == "poisson" ? ", Poisson" : ", evenly";
  if (!flags.ramp.empty()) return absl::StrCat("ramp ", flags.ramp, " calls/s", spacing);
  if (!flags.steps.empty()) return absl::StrCat("steps ", flags.steps, spacing);
  return absl::StrCat(flags.rate, " calls/s", spacing);
}

absl::Status FillArrivals(const LoadFlags& flags, load::LoadPlan* plan) {
  if (flags.arrival == "poisson") plan->arrivals.spacing = load::Spacing::kPoisson;
  if (!flags.trace.empty()) {
    if (!flags.arrival.empty()) {
      return absl::InvalidArgumentError(
          "--arrival with --trace: the file says when calls are sent; allowed: one of them");
    }
    ATTN_ASSIGN_OR_RETURN(plan->arrivals.trace, load::ReadTrace(flags.trace));
    // The last call's own time is still within it.
    if (!flags.duration.has_value()) {
      plan->limit.duration = plan->arrivals.trace.back() + absl::Nanoseconds(1);
    }
  } else if (!flags.steps.empty()) {
    if (flags.duration.has_value()) {
      return absl::InvalidArgumentError(
          "--duration with --steps: the steps say how long they last; allowed: one of them");
    }
    ATTN_ASSIGN_OR_RETURN(plan->arrivals.segments, load::ParseSteps("--steps", flags.steps));
    plan->limit.duration = absl::ZeroDuration();
    for (const auto& segment : plan->arrivals.segments) plan->limit.duration += segment.duration;
  } else if (!flags.ramp.empty()) {
    plan->limit.duration = flags.duration.value_or(kDefaultDuration);
    ATTN_ASSIGN_OR_RETURN(plan->arrivals.segments,
                          load::ParseRamp("--ramp", flags.ramp, plan->limit.duration));
  } else {
    ATTN_ASSIGN_OR_RETURN(const double rate, load::ParseRate("--rate", flags.rate));
    plan->arrivals.segments = {{.from = rate, .to = rate}};
    if (flags.find_max_rate) plan->search_from = rate;
  }
  plan->open_label = OpenLabel(flags);
  return absl::OkStatus();
}

absl::Status CheckOutputs(const LoadFlags& flags) {
  std::set<std::string> paths;
  for (const auto& [flag, path] :
       {std::pair("--json_out", flags.json_out), std::pair("--csv_out", flags.csv_out),
        std::pair("--hdr_out", flags.hdr_out), std::pair("--html_out", flags.html_out)}) {
    if (path.empty()) continue;
    const absl::Status writable = CheckPathWritable(path);
    if (!writable.ok()) {
      return absl::Status(writable.code(), absl::StrCat(flag, ": ", writable.message()));
    }
    if (!paths.insert(path).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(flag, ": ", Quoted(path), " is another report's file, too"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LoadTask> MakeLoadTask(const CLI::App& command, const LoadFlags& flags) {
  ATTN_ASSIGN_OR_RETURN(const std::string open_loop_flag, OpenLoopFlag(flags));
  ATTN_RETURN_IF_ERROR(CheckSearch(flags));
  ATTN_RETURN_IF_ERROR(CheckOutputs(flags));
  LoadTask task;
  load::LoadPlan& plan = task.plan;
  ATTN_ASSIGN_OR_RETURN(plan.warmup, WarmupLimit(flags.warmup));
  ATTN_ASSIGN_OR_RETURN(plan.concurrency, ParseConcurrency(flags.concurrency));
  plan.open_loop = !open_loop_flag.empty();
  plan.max_in_flight = flags.max_in_flight > 0 ? flags.max_in_flight : kDefaultMaxInFlight;
  plan.seed = flags.seed;
  plan.verify = flags.verify;
  plan.slo = flags.slo;
  plan.abort_on_slo = flags.abort_on_slo;
  if (flags.requests.has_value()) plan.limit.requests = *flags.requests;
  if (flags.duration.has_value()) plan.limit.duration = *flags.duration;
  if (!flags.requests.has_value() && !flags.duration.has_value()) {
    plan.limit.duration = kDefaultDuration;
  }
  if (plan.open_loop) ATTN_RETURN_IF_ERROR(FillArrivals(flags, &plan));
  const int callers = plan.open_loop
                          ? plan.max_in_flight
                          : *std::max_element(plan.concurrency.begin(), plan.concurrency.end());
  task.connections =
      flags.connections > 0 ? flags.connections : std::min(callers, kMaxDefaultConnections);
  const int targets = std::max(1, static_cast<int>(flags.targets.size()));
  plan.warmup_callers =
      plan.open_loop ? std::min(callers, task.connections * targets) : plan.concurrency.front();
  ATTN_ASSIGN_OR_RETURN(task.workload, MakeWorkload(command, flags));
  return task;
}

Json ConfigJson(const LoadFlags& flags, const LoadTask& task) {
  const load::LoadPlan& plan = task.plan;
  Json config = {{"loop", plan.open_loop ? "open" : "closed"}};
  const auto put_text = [&](const char* key, const std::string& text) {
    if (!text.empty()) config[key] = text;
  };
  if (plan.open_loop) {
    put_text("rate", flags.rate);
    put_text("ramp", flags.ramp);
    put_text("steps", flags.steps);
    put_text("trace", flags.trace);
    if (flags.trace.empty()) {
      config["arrival"] = plan.arrivals.spacing == load::Spacing::kPoisson ? "poisson" : "constant";
    }
    config["max_in_flight"] = plan.max_in_flight;
  } else {
    config["concurrency"] = plan.concurrency;
  }
  if (plan.limit.duration != absl::InfiniteDuration()) {
    config["duration"] = absl::FormatDuration(plan.limit.duration);
  }
  if (flags.requests.has_value()) config["requests"] = *flags.requests;
  config["warmup"] = flags.warmup;
  config["seed"] = flags.seed;
  config["connections"] = task.connections;
  if (flags.slo.max_p99_ms.has_value()) config["max_p99_ms"] = *flags.slo.max_p99_ms;
  if (flags.slo.max_error_rate.has_value()) config["max_error_rate"] = *flags.slo.max_error_rate;
  if (flags.abort_on_slo) config["abort_on_slo"] = true;
  if (flags.find_max_rate) config["find_max_rate"] = true;
  if (flags.verify.every > 0) config["verify_every"] = flags.verify.every;
  if (flags.verify.share > 0) config["verify_rate"] = flags.verify.share;
  if (flags.verify_limit.has_value()) config["verify_limit"] = *flags.verify_limit;
  put_text("workload_file", flags.workload);
  Json& entries = config["workload"] = Json::array();
  for (const load::Entry& entry : task.workload.entries) {
    entries.push_back(load::EntryToJson(entry));
  }
  return config;
}

}  // namespace attn::cli
