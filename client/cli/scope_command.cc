#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/child_process.h"
#include "client/cli/command.h"
#include "client/cli/connection_flags.h"
#include "client/cli/parse_values.h"
#include "client/cli/printable.h"
#include "client/cli/report.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

// As shells answer for a command that they cannot find or cannot run.
constexpr int kExitCommandNotFound = 127;
constexpr int kExitCommandNotRun = 126;

struct ScopeFlags {
  std::string backend;
  bool process = false;
  absl::Duration time_to_live;  // Zero = the server's maximum.
  std::string holder = "attn scope";
  std::vector<std::string> command;
};

absl::StatusOr<std::unique_ptr<HeldScope>> Hold(const Context& context, const ScopeFlags& flags) {
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<AttentionClient> client, context.Connect());
  attention::v1::HoldScopeRequest request;
  request.set_backend(flags.backend);
  // Rounded up: 0 would ask for the maximum.
  request.set_time_to_live_ms(
      absl::ToInt64Milliseconds(absl::Ceil(flags.time_to_live, absl::Milliseconds(1))));
  request.set_holder(flags.holder);
  return client->HoldScope(request, flags.process);
}

std::map<std::string, std::string> ChildVariables(const Context& context, const ScopeFlags& flags,
                                                  const std::string& scope_id) {
  // The id means nothing to another server.
  std::map<std::string, std::string> variables = ConnectionVariables(context.client);
  if (!flags.process) variables["ATTN_SCOPE"] = scope_id;
  return variables;
}

int RunScope(const Context& context, const ScopeFlags& flags) {
  BlockForwardedSignals();
  const absl::StatusOr<std::unique_ptr<HeldScope>> scope = Hold(context, flags);
  if (!scope.ok()) return Fail(context, scope.status());

  bool warned = false;
  const auto warn_if_ended = [&] {
    if (warned || !(*scope)->ended()) return;
    warned = true;
    const absl::Status why = (*scope)->End();
    std::cerr << "attn: warning: the scope has ended while the command runs, which is no longer "
                 "steered: "
              << absl::StatusCodeToString(why.code()) << ": " << Printable(why.message())
              << std::endl;
  };
  const absl::StatusOr<int> exit_code =
      RunChild(flags.command, ChildVariables(context, flags, (*scope)->id()), warn_if_ended);
  const absl::Status ended = (*scope)->End();
  if (!exit_code.ok()) {
    Fail(context, exit_code.status());
    return absl::IsNotFound(exit_code.status()) ? kExitCommandNotFound : kExitCommandNotRun;
  }
  if (!ended.ok() && !warned) {
    std::cerr << "attn: warning: the scope did not last as long as the command: "
              << absl::StatusCodeToString(ended.code()) << ": " << Printable(ended.message())
              << std::endl;
  }
  return *exit_code;
}

}  // namespace

void AddScopeCommand(CLI::App& app, Context& context) {
  auto flags = std::make_shared<ScopeFlags>();
  CLI::App& command =
      *app.add_subcommand("scope", "Steers calls onto a backend while a command runs");
  command.footer(
      "COMMAND finds the scope's id in ATTN_SCOPE, which `attn` and the client library obey, and\n"
      "the server in ATTN_SERVER (and ATTN_TLS_CA and so on) where flags named it. With --process\n"
      "the scope applies to every call of the server, whoever makes it (an admin call). The scope\n"
      "ends with COMMAND: what was in force before is in force again. Signals sent to `attn` are\n"
      "forwarded.\n\n"
      "Examples:\n"
      "  attn scope --backend eager -- attn call qkv.safetensors\n"
      "  attn scope --backend flash --process --ttl 10m --holder night-run -- ./render.sh\n\n"
      "Exit codes: that of COMMAND, or 128 + the signal that ended it; 127 no such COMMAND, 126 "
      "it\n"
      "cannot be run or its end was missed; without COMMAND having run: 1 refused, 2 wrong "
      "arguments, 3 no server\n"
      "answered.");
  command.add_option("--backend", flags->backend, "Backend by name or alias, or auto")
      ->type_name("NAME")
      ->required();
  command.add_flag("--process", flags->process, "Applies to every call, not only COMMAND's");
  const auto store = [flags](absl::Duration time_to_live) { flags->time_to_live = time_to_live; };
  AddDurationOption(command, "--ttl", store,
                    "The scope ends by itself after this long; default: the server's maximum");
  command.add_option("--holder", flags->holder, "Who holds it, shown to operators")
      ->type_name("TEXT");
  command.add_option("COMMAND", flags->command, "After --: what to run, with its arguments")
      ->required();
  command.callback([flags, &context] { context.exit_code = RunScope(context, *flags); });
}

}  // namespace attn::cli
