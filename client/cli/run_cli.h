// The program `attn` as a function: one subcommand a call.
#ifndef ATTN_CLIENT_CLI_RUN_CLI_H_
#define ATTN_CLIENT_CLI_RUN_CLI_H_

namespace attn::cli {

// Arguments as of main; prints on stdout and stderr; returns the exit code (command.h).
int RunCli(int argc, const char* const* argv);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_RUN_CLI_H_
