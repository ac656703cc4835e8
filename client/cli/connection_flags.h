// Flags that say which server to call and what it takes to be let in; the same for every
// subcommand.
#ifndef ATTN_CLIENT_CLI_CONNECTION_FLAGS_H_
#define ATTN_CLIENT_CLI_CONNECTION_FLAGS_H_

#include <map>
#include <string>

#include "CLI/CLI.hpp"
#include "client/attention_client.h"

namespace attn::cli {

// Writes to `client`, which outlives `app`. Files are read as soon as the command line is complete:
// one that cannot be used is a wrong argument.
void AddConnectionFlags(CLI::App& app, ClientOptions& client);

// Variables that lead another client to the same server with the same TLS. The admin token is not
// among them.
std::map<std::string, std::string> ConnectionVariables(const ClientOptions& client);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_CONNECTION_FLAGS_H_
