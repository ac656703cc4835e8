// Shared libraries with backends and mask functions of somebody else's: attn_plugin.h is what they
// implement.
//
// A plug-in is code in this process. A bad version, name or table is refused with a reason; code
// that crashes, corrupts memory or never returns takes the server with it.
#ifndef ATTN_KERNELS_PLUGINS_PLUGIN_LIBRARY_H_
#define ATTN_KERNELS_PLUGINS_PLUGIN_LIBRARY_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/core/backend.h"
#include "kernels/core/mask_function.h"

namespace attn {

// What one library brings. The library stays loaded while any of it lives.
struct PluginLibrary {
  std::string origin;  // File name.
  std::string name;    // As it calls itself.
  std::string version;
  std::vector<std::unique_ptr<Backend>> backends;
  std::vector<std::unique_ptr<MaskFunction>> mask_functions;
};

// FAILED_PRECONDITION if the file cannot be loaded or its ABI does not fit, INVALID_ARGUMENT if
// what it declares is malformed; the text names the file and the reason.
absl::StatusOr<PluginLibrary> LoadPlugin(const std::string& path);

// Every `*.so` of a directory, by name. A library that is refused is left out and said so in
// `refusals`, one text each. NOT_FOUND or PERMISSION_DENIED for the directory itself.
absl::StatusOr<std::vector<PluginLibrary>> LoadPlugins(const std::string& directory,
                                                       std::vector<std::string>* refusals);

}  // namespace attn

#endif  // ATTN_KERNELS_PLUGINS_PLUGIN_LIBRARY_H_
