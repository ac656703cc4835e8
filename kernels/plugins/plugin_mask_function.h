// A mask function of a plug-in.
#ifndef ATTN_KERNELS_PLUGINS_PLUGIN_MASK_FUNCTION_H_
#define ATTN_KERNELS_PLUGINS_PLUGIN_MASK_FUNCTION_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "kernels/core/mask_function.h"
#include "kernels/plugins/attn_plugin.h"
#include "kernels/plugins/plugin_edge.h"

namespace attn {

// INVALID_ARGUMENT names the member of the table that does not fit. Owns a share of the library.
absl::StatusOr<std::unique_ptr<MaskFunction>> CreatePluginMaskFunction(
    const attn_mask_function* table, const std::string& origin, PluginHandle library);

}  // namespace attn

#endif  // ATTN_KERNELS_PLUGINS_PLUGIN_MASK_FUNCTION_H_
