// What the options name, read and held against this build.
#ifndef ATTN_SERVER_CONFIG_FILES_H_
#define ATTN_SERVER_CONFIG_FILES_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "kernels/core/registry.h"
#include "server/config/server_options.h"
#include "server/policy/preset_table.h"

namespace attn {

// The presets; an error with every mistake, one a line, if one of them or force_backend can never
// serve here. For a start and for every reload.
absl::StatusOr<std::shared_ptr<const PresetTable>> ReadSelection(const ServerOptions& options,
                                                                 const Registry& registry);

struct ConfigFiles {
  std::shared_ptr<const PresetTable> presets;
  std::string admin_token;  // Empty = none.
};

// Everything that a start reads: the same, ATTN_BACKEND, the token and the TLS files. An error has
// every mistake of all of them.
absl::StatusOr<ConfigFiles> ReadConfigFiles(const ServerOptions& options,
                                            const std::string& environment_backend,
                                            const Registry& registry);

}  // namespace attn

#endif  // ATTN_SERVER_CONFIG_FILES_H_
