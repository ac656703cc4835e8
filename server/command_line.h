// What attnd was asked to do: its flags and the environment, with the configuration that they and
// the file give.
#ifndef ATTN_SERVER_COMMAND_LINE_H_
#define ATTN_SERVER_COMMAND_LINE_H_

#include <optional>
#include <string>

#include "server/config/server_config.h"

namespace attn {

struct CommandLine {
  ConfigSources sources;
  ServerConfig config;
  std::string environment_backend;  // ATTN_BACKEND; empty = none.
  bool check_config = false;        // Instead of serving.
  // Set when there is nothing more to do: 0 after --help, --version and --print_config, 2 after a
  // mistake. What there is to say has been printed.
  std::optional<int> exit_code;
};

// `environment` is that of the process: NAME=VALUE, ended by a null pointer.
CommandLine ParseCommandLine(int argc, char** argv, char** environment);

}  // namespace attn

#endif  // ATTN_SERVER_COMMAND_LINE_H_
