#include "server/policy/preset_check.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/core/options.h"
#include "server/policy/backend_names.h"

namespace attn {
namespace {

// Every option by itself, so that each mistake is named.
std::vector<std::string> OptionMistakes(const Preset& preset, const BackendInfo& backend) {
  std::vector<std::string> mistakes;
  for (const auto& [name, value] : preset.options) {
    const absl::Status status = ValidateOptions(backend.name, {{name, value}}, backend.options);
    if (!status.ok()) mistakes.emplace_back(status.message());
  }
  if (!mistakes.empty()) return mistakes;
  const absl::Status together = ValidateOptions(backend.name, preset.options, backend.options);
  if (!together.ok()) mistakes.emplace_back(together.message());
  return mistakes;
}

std::vector<std::string> AutomaticMistakes(const Preset& preset, const Registry& registry) {
  if (preset.options.empty()) return {};
  std::vector<std::string> reasons;
  for (const Backend* backend : registry.backends()) {
    if (!backend->info().exact) continue;
    const std::vector<std::string> mistakes = OptionMistakes(preset, backend->info());
    if (mistakes.empty()) return {};
    reasons.insert(reasons.end(), mistakes.begin(), mistakes.end());
  }
  return {absl::StrCat("no exact backend of this build takes its options: ",
                       absl::StrJoin(reasons, "; "))};
}

std::vector<std::string> Mistakes(const Preset& preset, const Registry& registry) {
  if (preset.backend == kAutoBackend) return AutomaticMistakes(preset, registry);
  const Backend* backend = registry.Find(preset.backend);
  if (backend == nullptr) return {absl::StrCat("'", preset.backend, "' is not in this build")};
  return OptionMistakes(preset, backend->info());
}

}  // namespace

absl::Status CheckPresets(const PresetTable& presets, const Registry& registry) {
  std::vector<std::string> lines;
  for (const auto& [model, entry] : presets.models()) {
    for (const auto& [name, preset] : entry.presets) {
      for (const std::string& mistake : Mistakes(preset, registry)) {
        lines.push_back(absl::StrCat(model, "/", name, ": ", mistake));
      }
    }
  }
  if (lines.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrJoin(lines, "\n"));
}

}  // namespace attn
