// config/attention_config.yaml -> PresetTable. The structure is that of Pyramid Sparse Attention's
// preset file: model sections with default_attention, video_scale, text_length and
// attention_configs.
#ifndef ATTN_SERVER_CONFIG_PRESET_FILE_H_
#define ATTN_SERVER_CONFIG_PRESET_FILE_H_

#include <string>

#include "absl/status/statusor.h"
#include "kernels/core/registry.h"
#include "server/policy/preset_table.h"

namespace attn {

// INVALID_ARGUMENT lists every mistake, one a line, as FILE:LINE: what, with the nearest known key;
// NOT_FOUND if the file cannot be read. Backends are those that we know, in this build or not, and
// the registry's own.
absl::StatusOr<PresetTable> LoadPresetFile(const std::string& path, const Registry& registry);

}  // namespace attn

#endif  // ATTN_SERVER_CONFIG_PRESET_FILE_H_
