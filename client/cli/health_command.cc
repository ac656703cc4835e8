#include <iostream>
#include <memory>
#include <string>

#include "client/cli/command.h"
#include "client/cli/report.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

absl::StatusOr<std::string> AskHealth(const Context& context, const std::string& service) {
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<AttentionClient> client, context.Connect());
  return client->CheckHealth(service);
}

int RunHealth(const Context& context, const std::string& service) {
  const absl::StatusOr<std::string> health = AskHealth(context, service);
  if (!health.ok()) return Fail(context, health.status());
  if (context.json) {
    PrintJson({{"service", service}, {"health", *health}});
  } else {
    std::cout << *health << std::endl;
  }
  return *health == "SERVING" ? kExitOk : kExitFailed;
}

}  // namespace

void AddHealthCommand(CLI::App& app, Context& context) {
  auto service = std::make_shared<std::string>();
  CLI::App& command =
      *app.add_subcommand("health", "Asks the standard gRPC health service how the server is");
  command.footer(
      "Services: readiness (new calls should come here), liveness (the process answers),\n"
      "attention.v1.AttentionService, attention.v1.AdminService. The server as a whole is its\n"
      "readiness.\n\n"
      "Examples:\n"
      "  attn health\n"
      "  attn health --service liveness --timeout 2s\n\n"
      "Exit codes: 0 SERVING; 1 NOT_SERVING or an unknown service; 2 wrong arguments;\n"
      "3 no server answered.");
  command.add_option("--service", *service, "Service to ask about; default: the server as a whole")
      ->type_name("NAME");
  command.callback([service, &context] { context.exit_code = RunHealth(context, *service); });
}

}  // namespace attn::cli
