#include "server/policy/preset_table.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/core/nearest_name.h"

namespace attn {
namespace {

template <typename Value>
std::vector<std::string> Keys(const std::map<std::string, Value, std::less<>>& map) {
  std::vector<std::string> keys;
  keys.reserve(map.size());
  for (const auto& [key, value] : map) keys.push_back(key);
  return keys;
}

}  // namespace

PresetTable::PresetTable(std::map<std::string, ModelPresets, std::less<>> models)
    : models_(std::move(models)) {}

absl::StatusOr<const Preset*> PresetTable::Find(absl::string_view model,
                                                absl::string_view preset) const {
  const auto found_model = models_.find(model);
  if (found_model == models_.end()) {
    if (models_.empty()) {
      return absl::NotFoundError(
          absl::StrCat("unknown model ", Quoted(model), "; this server has no presets"));
    }
    return absl::NotFoundError(UnknownNameMessage("model", model, Keys(models_)));
  }
  const ModelPresets& presets = found_model->second;
  if (preset.empty()) preset = presets.default_preset;
  const auto found = presets.presets.find(preset);
  if (found == presets.presets.end()) {
    return absl::NotFoundError(
        absl::StrCat("model '", found_model->first,
                     "': ", UnknownNameMessage("preset", preset, Keys(presets.presets))));
  }
  return &found->second;
}

}  // namespace attn
