// ReadServerConfig with its mistakes as one status.
#ifndef ATTN_TESTS_SERVER_CONFIG_LOAD_SERVER_CONFIG_H_
#define ATTN_TESTS_SERVER_CONFIG_LOAD_SERVER_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_join.h"
#include "server/config/server_config.h"

namespace attn {

// INVALID_ARGUMENT has every mistake, one a line.
inline absl::StatusOr<ServerConfig> LoadServerConfig(const ConfigSources& sources) {
  std::vector<std::string> mistakes;
  ServerConfig config = ReadServerConfig(sources, &mistakes);
  if (mistakes.empty()) return config;
  return absl::InvalidArgumentError(absl::StrJoin(mistakes, "\n"));
}

}  // namespace attn

#endif  // ATTN_TESTS_SERVER_CONFIG_LOAD_SERVER_CONFIG_H_
