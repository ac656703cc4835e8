// What attnd was asked to do: its flags and the environment, with the configuration that they and
// the file give.
#ifndef ATTN_SERVER_APP_COMMAND_LINE_H_
#define ATTN_SERVER_APP_COMMAND_LINE_H_

#include <optional>
#include <string>
#include <vector>

#include "server/config/server_config.h"

namespace attn {

struct CommandLine {
  ConfigSources sources;
  ServerConfig config;
  std::string environment_backend;    // ATTN_BACKEND; empty = none.
  std::vector<std::string> mistakes;  // In flags, variables and the file, to be told with others.
  // Instead of serving; with both, the configuration is printed if nothing is wrong with it.
  bool check_config = false;
  bool print_config = false;
  // Set when there is nothing more to do: after --help and --version, which have been printed.
  std::optional<int> exit_code;
};

// `environment` is that of the process: NAME=VALUE, ended by a null pointer.
CommandLine ParseCommandLine(int argc, char** argv, char** environment);

}  // namespace attn

#endif  // ATTN_SERVER_APP_COMMAND_LINE_H_
