#include <iostream>
#include <memory>
#include <string>

#include "client/cli/command.h"
#include "client/cli/printable.h"
#include "client/cli/report.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

struct QuarantineFlags {
  std::string name;
  std::string reason = "by an operator";
  bool release = false;
};

// The canonical name of the backend.
absl::StatusOr<std::string> ChangeQuarantine(const Context& context, const QuarantineFlags& flags) {
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<AttentionClient> client, context.Connect());
  return flags.release ? client->ReleaseBackend(flags.name)
                       : client->QuarantineBackend(flags.name, flags.reason);
}

int RunQuarantine(const Context& context, const QuarantineFlags& flags) {
  const absl::StatusOr<std::string> backend = ChangeQuarantine(context, flags);
  if (!backend.ok()) return Fail(context, backend.status());
  if (context.json) {
    PrintJson({{"backend", *backend}, {"quarantined", !flags.release}});
  } else {
    std::cout << Printable(*backend)
              << (flags.release ? " is released" : " is quarantined: " + Printable(flags.reason))
              << std::endl;
  }
  return kExitOk;
}

}  // namespace

void AddQuarantineCommand(CLI::App& app, Context& context) {
  auto flags = std::make_shared<QuarantineFlags>();
  CLI::App& command =
      *app.add_subcommand("quarantine", "Keeps a backend from being chosen, or releases it");
  command.footer(
      "An admin call: --admin_server names another address than --server for it. Calls in flight\n"
      "on the backend finish.\n\n"
      "Examples:\n"
      "  attn quarantine flash --reason 'wrong answers on node 7'\n"
      "  attn quarantine flash --release\n\n"
      "Exit codes: 0 done; 1 refused; 2 wrong arguments; 3 no server answered.");
  command.add_option("NAME", flags->name, "Backend by name or alias")->required();
  CLI::Option* reason =
      command
          .add_option("--reason", flags->reason,
                      "Shown to callers whose choice it refuses; default: by an operator")
          ->type_name("TEXT");
  command.add_flag("--release", flags->release, "Lets the backend be chosen again")
      ->excludes(reason);
  command.callback([flags, &context] { context.exit_code = RunQuarantine(context, *flags); });
}

}  // namespace attn::cli
