#include "server/app/reload.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "kernels/core/status_macros.h"
#include "server/app/config_files.h"
#include "server/app/part_options.h"
#include "server/config/config_keys.h"

namespace attn {
namespace {

std::string Text(const ConfigKey& key, const ServerOptions& options) {
  return absl::StrJoin(TextsOf(key, options), ",");
}

// `max_running_calls=4, log_level=debug`: reloaded keys whose value is another now.
std::string Changes(const ServerOptions& from, const ServerOptions& to) {
  std::vector<std::string> changes;
  for (const ConfigKey& key : ConfigKeys()) {
    std::string text = Text(key, to);
    if (text != Text(key, from)) changes.push_back(absl::StrCat(key.name, "=", text));
  }
  return changes.empty() ? "none" : absl::StrJoin(changes, ", ");
}

// What is right in the file and wrong beside the values that stay.
absl::Status CheckWithWhatStays(const ServerOptions& options) {
  if (options.max_admitted_batch_bytes <= options.max_admitted_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("max_admitted_batch_bytes: ", options.max_admitted_batch_bytes,
                   " is more than the max_admitted_bytes in force, ", options.max_admitted_bytes));
}

}  // namespace

Reloader::Reloader(ConfigSources sources, const ServerConfig& config, const Parts& parts)
    : sources_(std::move(sources)), parts_(parts), options_(config.options) {}

void Reloader::Reload() {
  const absl::Status status = Apply();
  if (status.ok()) {
    accepted_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  refused_.fetch_add(1, std::memory_order_relaxed);
  for (const absl::string_view line : absl::StrSplit(status.message(), '\n')) {
    parts_.log->Write(LogLevel::kWarning, "reload refused, the old configuration stays",
                      {{"mistake", std::string(line)}});
  }
}

absl::Status Reloader::Apply() {
  std::vector<std::string> mistakes;
  ServerConfig config = ReadServerConfig(sources_, &mistakes);
  std::shared_ptr<const PresetTable> presets = ReadSelection(*parts_.registry, &config, &mistakes);
  if (!mistakes.empty()) return absl::InvalidArgumentError(absl::StrJoin(mistakes, "\n"));
  ServerOptions& next = config.options;
  KeepWhatCannotChange(&next);
  ATTN_RETURN_IF_ERROR(CheckWithWhatStays(next));
  ATTN_RETURN_IF_ERROR(parts_.executor->SetLimits(ExecutorLimitsOf(next)));
  // From here on nothing fails.
  parts_.policy->SetPresets(std::move(presets));
  if (next.force_backend != options_.force_backend) ApplyForced(next.force_backend);
  parts_.log->SetSlowCall(SlowCall(next));
  const LogLevel level = LogOptionsOf(next).level;
  if (next.log_level != options_.log_level) parts_.log->SetLevel(level);
  for (const std::string& warning : config.warnings) {
    parts_.log->Write(LogLevel::kWarning, "configuration", {{"warning", warning}});
  }
  parts_.log->Write(LogLevel::kInfo, "configuration read again",
                    {{"changed", Changes(options_, next)}});
  options_ = std::move(next);
  return absl::OkStatus();
}

void Reloader::KeepWhatCannotChange(ServerOptions* next) const {
  for (const ConfigKey& key : ConfigKeys()) {
    if (key.reloads || Text(key, *next) == Text(key, options_)) continue;
    parts_.log->Write(LogLevel::kWarning, "a key changes only when the server is started again",
                      {{"key", std::string(key.name)},
                       {"in_force", Text(key, options_)},
                       {"configured", Text(key, *next)}});
    CopyOption(key, options_, next);
  }
}

void Reloader::ApplyForced(const std::string& backend) const {
  // Neither can fail in a way that matters: the name was checked, and what an operator has cleared
  // already is cleared.
  if (backend.empty()) {
    parts_.policy->ClearForced().IgnoreError();
  } else {
    parts_.policy->SetForced(backend).IgnoreError();
  }
}

}  // namespace attn
