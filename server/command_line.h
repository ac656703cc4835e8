// The command line of attnd: a configuration file, and flags over it.
#ifndef ATTN_SERVER_COMMAND_LINE_H_
#define ATTN_SERVER_COMMAND_LINE_H_

#include <optional>

#include "server/config/server_options.h"

namespace attn {

struct CommandLine {
  ServerOptions options;
  // Set when there is nothing to serve: 0 after --help or --version, 2 after a mistake. What there
  // is to say has been printed.
  std::optional<int> exit_code;
};

CommandLine ParseCommandLine(int argc, char** argv);

}  // namespace attn

#endif  // ATTN_SERVER_COMMAND_LINE_H_
