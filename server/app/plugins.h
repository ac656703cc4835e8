// The plug-ins of a server: those of its folder whose names nobody else has.
#ifndef ATTN_SERVER_APP_PLUGINS_H_
#define ATTN_SERVER_APP_PLUGINS_H_

#include <memory>
#include <string>
#include <vector>

#include "kernels/core/backend.h"
#include "kernels/core/mask_function.h"
#include "server/config/server_config.h"
#include "server/telemetry/server_log.h"

namespace attn {

struct Plugins {
  // What is said of one that was loaded.
  struct Library {
    std::string file;
    std::string name;
    std::string version;
    std::string backends;        // `a, b`, or `none`
    std::string mask_functions;  // Likewise.
  };
  std::vector<Library> libraries;     // In the order of their file names.
  std::vector<std::string> refusals;  // A text each, which names the file and the reason.
  // Of all libraries. Their infos say where they come from.
  std::vector<std::unique_ptr<Backend>> backends;
  std::vector<std::unique_ptr<MaskFunction>> mask_functions;
};

// Those of plugin_dir; nothing where it is empty. A folder that cannot be read is a mistake. A
// library is refused as a whole if a backend of it has a name that this server knows (its own, an
// alias of another project's, or of a library before it), or a mask function one that a library
// before it has.
Plugins ReadPlugins(const ServerConfig& config, std::vector<std::string>* mistakes);

// What was loaded, and what was refused and why: a line each, in the log, or on stderr before there
// is one.
void LogPlugins(const Plugins& plugins, ServerLog* log);
void SayPlugins(const Plugins& plugins);

}  // namespace attn

#endif  // ATTN_SERVER_APP_PLUGINS_H_
