// Where calls into a plug-in's code begin and end.
#ifndef ATTN_KERNELS_PLUGINS_PLUGIN_EDGE_H_
#define ATTN_KERNELS_PLUGINS_PLUGIN_EDGE_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "kernels/plugins/attn_plugin.h"

namespace attn {

// The library's handle: it is unloaded with the last owner.
using PluginHandle = std::shared_ptr<void>;

// Whose code runs, for error texts.
struct PluginOwner {
  std::string name;    // Of the backend or mask function.
  std::string origin;  // File name of the library.
};

// What a callback returns, writes and throws, as one status; its text begins with the name.
absl::Status CallPlugin(const PluginOwner& owner, absl::string_view callback,
                        absl::FunctionRef<attn_status(char* error, size_t error_size)> call);

}  // namespace attn

#endif  // ATTN_KERNELS_PLUGINS_PLUGIN_EDGE_H_
