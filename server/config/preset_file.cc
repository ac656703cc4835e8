#include "server/config/preset_file.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "kernels/core/limits.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "server/config/yaml_mapping.h"
#include "server/config/yaml_option.h"
#include "server/config/yaml_tree.h"
#include "server/policy/backend_names.h"

namespace attn {
namespace {

constexpr absl::string_view kDenseType = "dense";
// One of the registry's own backends, exact or not.
constexpr absl::string_view kOwnType = "own";

// What a preset of type `dense` may name: canonical backends that compute attention exactly, and
// own ones that say so.
constexpr absl::string_view kExactBackends[] = {kAutoBackend, "eager", "flash", "cudnn", "flex"};

// A video of 65536 pixels (or frames) a side is one token at most: beyond every real model.
constexpr int64_t kMaxVideoDivisor = 1 << 16;

// Puts what the alias fixes over the preset's options. A preset that contradicts its own alias is a
// mistake.
void ApplyAlias(const ResolvedName& resolved, const YamlMapping& config, Preset* preset) {
  for (const auto& [name, value] : resolved.options) {
    const auto [option, is_new] = preset->options.emplace(name, value);
    if (!is_new && option->second != value) {
      config.AddMistake("options",
                        absl::StrCat("option ", Quoted(name), " is fixed by the backend's name"));
    }
  }
}

// The backends that presets may name.
class PresetBackends {
 public:
  explicit PresetBackends(const Registry& registry)
      : registry_(registry), own_(OwnBackendNames(registry)) {}

  absl::StatusOr<ResolvedName> Resolve(absl::string_view name) const {
    return ResolveBackendName(name, own_);
  }
  bool IsOwn(absl::string_view canonical) const {
    return std::find(own_.begin(), own_.end(), canonical) != own_.end();
  }
  bool IsExact(absl::string_view canonical) const {
    if (IsOwn(canonical)) return registry_.Find(canonical)->info().exact;
    return std::find(std::begin(kExactBackends), std::end(kExactBackends), canonical) !=
           std::end(kExactBackends);
  }
  // What the type takes.
  std::string Known(absl::string_view type) const {
    std::vector<absl::string_view> names;
    if (type == kDenseType) names.assign(std::begin(kExactBackends), std::end(kExactBackends));
    for (const std::string& name : own_) {
      if (type == kOwnType || IsExact(name)) names.emplace_back(name);
    }
    return names.empty() ? "none" : absl::StrJoin(names, ", ");
  }

 private:
  const Registry& registry_;
  const std::vector<std::string> own_;
};

// Of either type: they differ in which backends they take.
void ReadBackend(absl::string_view type, const PresetBackends& backends, YamlMapping* config,
                 YamlMistakes* mistakes, Preset* preset) {
  if (const YamlNode* options = config->Value("options")) {
    preset->options = ReadOptions(*options, config->PlaceOf("options"), mistakes);
  }
  if (type == kOwnType && !config->Require("backend")) return;
  const std::string backend = config->Text("backend").value_or(std::string(kAutoBackend));
  const absl::StatusOr<ResolvedName> resolved = backends.Resolve(backend);
  if (!resolved.ok()) {
    config->AddMistake("backend", resolved.status().message());
    return;
  }
  const bool taken = type == kOwnType ? backends.IsOwn(resolved->canonical)
                                      : backends.IsExact(resolved->canonical);
  if (!taken) {
    config->AddMistake(
        "backend", absl::StrCat(Quoted(backend),
                                type == kOwnType ? " is no backend of a plug-in" : " is not exact",
                                ", type ", type, " takes: ", backends.Known(type)));
    return;
  }
  preset->backend = resolved->canonical;
  ApplyAlias(*resolved, *config, preset);
}

// One entry of attention_configs.
Preset ReadPreset(const YamlNode::Field& field, const std::string& place,
                  const PresetBackends& backends, YamlMistakes* mistakes) {
  Preset preset;
  preset.name = field.key;
  YamlMapping config(*field.value, place, mistakes);
  preset.description = config.Text("description").value_or("");
  if (!config.Require("type")) return preset;
  const std::optional<std::string> type = config.Text("type");
  if (!type.has_value()) return preset;
  if (*type != kDenseType && *type != kOwnType) {
    // The other keys are that type's: whether they are right is not known here.
    config.AddMistake("type", absl::StrCat("type ", Quoted(*type), " is not in this build, known: ",
                                           kDenseType, ", ", kOwnType));
    return preset;
  }
  ReadBackend(*type, backends, &config, mistakes, &preset);
  config.RefuseOtherKeys();
  return preset;
}

std::array<int64_t, 3> ReadVideoScale(const YamlNode& node, const std::string& place,
                                      YamlMistakes* mistakes) {
  constexpr absl::string_view kKeys[] = {"width_divisor", "height_divisor", "depth_divisor"};
  std::array<int64_t, 3> scale = {};
  YamlMapping mapping(node, place, mistakes);
  for (size_t i = 0; i < scale.size(); ++i) {
    if (mapping.Require(kKeys[i]))
      scale[i] = mapping.Integer(kKeys[i], 1, kMaxVideoDivisor).value_or(1);
  }
  mapping.RefuseOtherKeys();
  return scale;
}

// The section of one model.
ModelPresets ReadModel(const YamlNode::Field& field, const PresetBackends& backends,
                       YamlMistakes* mistakes) {
  ModelPresets model;
  model.model = field.key;
  YamlMapping section(*field.value, field.key, mistakes);
  section.Require("default_attention");
  model.default_preset = section.Text("default_attention").value_or("");
  if (const YamlNode* scale = section.Value("video_scale")) {
    model.video_scale = ReadVideoScale(*scale, section.PlaceOf("video_scale"), mistakes);
  }
  model.text_length = section.Integer("text_length", 0, kMaxDimension).value_or(0);

  section.Require("attention_configs");
  if (const YamlNode* configs = section.Value("attention_configs")) {
    const YamlMapping names(*configs, section.PlaceOf("attention_configs"), mistakes);
    for (const YamlNode::Field& config : configs->fields) {
      model.presets.emplace(config.key,
                            ReadPreset(config, names.PlaceOf(config.key), backends, mistakes));
    }
    if (!model.default_preset.empty() && !model.presets.contains(model.default_preset)) {
      std::vector<std::string> known;
      for (const auto& [name, preset] : model.presets) known.push_back(name);
      section.AddMistake("default_attention",
                         UnknownNameMessage("preset", model.default_preset, known));
    }
  }
  section.RefuseOtherKeys();
  return model;
}

}  // namespace

absl::StatusOr<PresetTable> LoadPresetFile(const std::string& path, const Registry& registry) {
  ATTN_ASSIGN_OR_RETURN(const std::shared_ptr<const YamlNode> tree, ReadYaml(path));
  const PresetBackends backends(registry);
  YamlMistakes mistakes(path);
  const YamlMapping root(*tree, "", &mistakes);
  std::map<std::string, ModelPresets, std::less<>> models;
  for (const YamlNode::Field& field : tree->fields) {
    models.emplace(field.key, ReadModel(field, backends, &mistakes));
  }
  ATTN_RETURN_IF_ERROR(mistakes.ToStatus());
  return PresetTable(std::move(models));
}

}  // namespace attn
