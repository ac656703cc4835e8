// What the options name, read and held against this build and this machine.
#ifndef ATTN_SERVER_APP_CONFIG_FILES_H_
#define ATTN_SERVER_APP_CONFIG_FILES_H_

#include <memory>
#include <string>
#include <vector>

#include "kernels/core/registry.h"
#include "server/config/server_config.h"
#include "server/policy/preset_table.h"

namespace attn {

// Both append to `mistakes` everything that is wrong, one line each that begins with where it
// stands (FILE:LINE, the variable, the flag), and to config->warnings what is right and hardly
// meant. The result holds what could be read. They also serve beside mistakes of ReadServerConfig.

// The presets; a mistake if one of them or force_backend can never serve here. For a start and for
// every reload.
std::shared_ptr<const PresetTable> ReadSelection(const Registry& registry, ServerConfig* config,
                                                 std::vector<std::string>* mistakes);

struct ConfigFiles {
  std::shared_ptr<const PresetTable> presets;
  std::string admin_token;  // Empty = none.
};

// Everything that a start reads: the same, ATTN_BACKEND, the token, the TLS files and the memory of
// this machine.
ConfigFiles ReadConfigFiles(const std::string& environment_backend, const Registry& registry,
                            ServerConfig* config, std::vector<std::string>* mistakes);

}  // namespace attn

#endif  // ATTN_SERVER_APP_CONFIG_FILES_H_
