// Per-model presets: which backend a model's calls run on, with which options.
#ifndef ATTN_SERVER_POLICY_PRESET_TABLE_H_
#define ATTN_SERVER_POLICY_PRESET_TABLE_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/core/options.h"

namespace attn {

struct Preset {
  std::string name;
  std::string backend;  // Canonical, or `auto` for a dense preset: rule 6 decides.
  std::string description;
  OptionMap options;
};

struct ModelPresets {
  std::string model;
  std::string default_preset;
  // Pixels (or frames) per token: width, height, depth. Absent for models that are no video.
  std::optional<std::array<int64_t, 3>> video_scale;
  int64_t text_length = 0;
  std::map<std::string, Preset, std::less<>> presets;
};

// Immutable once built; shared by reference among threads.
class PresetTable {
 public:
  PresetTable() = default;
  explicit PresetTable(std::map<std::string, ModelPresets, std::less<>> models);

  // The preset of `model`, its default where `preset` is empty. NOT_FOUND names what is known.
  absl::StatusOr<const Preset*> Find(absl::string_view model, absl::string_view preset) const;

  const std::map<std::string, ModelPresets, std::less<>>& models() const { return models_; }

 private:
  std::map<std::string, ModelPresets, std::less<>> models_;
};

}  // namespace attn

#endif  // ATTN_SERVER_POLICY_PRESET_TABLE_H_
