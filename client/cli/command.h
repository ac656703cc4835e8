// One file a subcommand of `attn`: it declares its arguments and, when chosen, runs.
#ifndef ATTN_CLIENT_CLI_COMMAND_H_
#define ATTN_CLIENT_CLI_COMMAND_H_

#include <memory>
#include <optional>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/attention_client.h"

namespace attn::cli {

// Exit codes, the same for every subcommand.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;       // The call or check failed.
inline constexpr int kExitUsage = 2;        // Wrong arguments, or a file that cannot be used.
inline constexpr int kExitUnreachable = 3;  // No server answered.

// Shared by all subcommands: filled by CLI11 before a command runs.
struct Context {
  ClientOptions client;
  std::optional<absl::Duration> timeout;  // Of every call; absent = the client library's own.
  bool json = false;
  int exit_code = kExitOk;

  absl::StatusOr<std::unique_ptr<AttentionClient>> Connect() const;
  CallOptions call_options() const;
};

// For an error of a server, or of the way to it: prints `attn: CODE: MESSAGE` and what to do next
// to stderr; returns the exit code for that status.
int Fail(const absl::Status& status);
// The same, and with --json the error as JSON on stdout too.
int Fail(const Context& context, const absl::Status& status);
// For wrong arguments and files that cannot be read or written: no hint, kExitUsage.
int FailUsage(const Context& context, const absl::Status& status);

// Each registers its subcommand; its callback sets context.exit_code.
void AddBackendsCommand(CLI::App& app, Context& context);
void AddCallCommand(CLI::App& app, Context& context);
void AddExplainCommand(CLI::App& app, Context& context);
void AddForceCommand(CLI::App& app, Context& context);
void AddHealthCommand(CLI::App& app, Context& context);
void AddLoadCommand(CLI::App& app, Context& context);
void AddLogCommand(CLI::App& app, Context& context);
void AddMaskCommand(CLI::App& app, Context& context);
void AddPolicyCommand(CLI::App& app, Context& context);
void AddQuarantineCommand(CLI::App& app, Context& context);
void AddScopeCommand(CLI::App& app, Context& context);
void AddVerifyCommand(CLI::App& app, Context& context);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_COMMAND_H_
