#include <iostream>
#include <memory>
#include <string>

#include "client/cli/command.h"
#include "client/cli/printable.h"
#include "client/cli/report.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

absl::StatusOr<std::string> ChangeLogLevel(const Context& context, const std::string& level) {
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<AttentionClient> client, context.Connect());
  return client->SetLogLevel(level);
}

int RunLog(const Context& context, const std::string& level) {
  const absl::StatusOr<std::string> previous = ChangeLogLevel(context, level);
  if (!previous.ok()) return Fail(context, previous.status());
  if (context.json) {
    PrintJson({{"level", level}, {"previous_level", *previous}});
  } else {
    std::cout << "log level: " << Printable(level) << "; before: " << Printable(*previous)
              << std::endl;
  }
  return kExitOk;
}

}  // namespace

void AddLogCommand(CLI::App& app, Context& context) {
  auto level = std::make_shared<std::string>();
  CLI::App& command = *app.add_subcommand("log", "Sets what a server logs from now on");
  command.footer(
      "An admin call: --admin_server names another address than --server for it.\n\n"
      "Levels: debug (every call), info (the server's own life), warning (slow calls and faults),\n"
      "error, off. The server begins with its own --log_level.\n\n"
      "Examples:\n"
      "  attn log debug\n"
      "  attn log info --server unix:/run/attnd/attnd.sock\n\n"
      "Exit codes: 0 done; 1 refused; 2 wrong arguments; 3 no server answered.");
  command.add_option("LEVEL", *level, "The least severe that is logged")->required();
  command.callback([level, &context] { context.exit_code = RunLog(context, *level); });
}

}  // namespace attn::cli
