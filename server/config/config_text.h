// The configuration as text for people: what there is to set, and what is set.
#ifndef ATTN_SERVER_CONFIG_CONFIG_TEXT_H_
#define ATTN_SERVER_CONFIG_CONFIG_TEXT_H_

#include <string>

#include "server/config/server_config.h"

namespace attn {

// Of --help: usage, every key with its default, precedence, signals and exit codes.
std::string HelpText();

// Of --print_config: a YAML file with every key and, as a comment, where its value comes from. Read
// back, it gives the same options: paths are absolute. Holds no secret: a token or a private key
// stands in a file of its own, of which the path is shown.
std::string PrintedConfig(const ServerConfig& config);

}  // namespace attn

#endif  // ATTN_SERVER_CONFIG_CONFIG_TEXT_H_
