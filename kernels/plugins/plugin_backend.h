// A backend of a plug-in.
#ifndef ATTN_KERNELS_PLUGINS_PLUGIN_BACKEND_H_
#define ATTN_KERNELS_PLUGINS_PLUGIN_BACKEND_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "kernels/core/backend.h"
#include "kernels/plugins/attn_plugin.h"
#include "kernels/plugins/plugin_edge.h"

namespace attn {

// INVALID_ARGUMENT names the member of the table that does not fit. Owns a share of the library.
absl::StatusOr<std::unique_ptr<Backend>> CreatePluginBackend(const attn_backend* table,
                                                             const std::string& origin,
                                                             PluginHandle library);

}  // namespace attn

#endif  // ATTN_KERNELS_PLUGINS_PLUGIN_BACKEND_H_
