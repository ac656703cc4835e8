// Whether presets can ever serve in this build: asked once, at the start.
#ifndef ATTN_SERVER_POLICY_PRESET_CHECK_H_
#define ATTN_SERVER_POLICY_PRESET_CHECK_H_

#include "absl/status/status.h"
#include "kernels/core/registry.h"
#include "server/policy/preset_table.h"

namespace attn {

// OK if every preset's backend is in the registry and takes the preset's options; of an `auto`
// preset, if an exact backend takes them. FAILED_PRECONDITION lists every mistake, one a line, as
// `model/preset: what`, which names the option.
absl::Status CheckPresets(const PresetTable& presets, const Registry& registry);

}  // namespace attn

#endif  // ATTN_SERVER_POLICY_PRESET_CHECK_H_
