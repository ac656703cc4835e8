#include <iostream>
#include <memory>
#include <string>

#include "client/cli/command.h"
#include "client/cli/printable.h"
#include "client/cli/report.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

struct ForceFlags {
  std::string name;
  bool clear = false;
};

// What was in force before.
absl::StatusOr<std::string> ChangeForced(const Context& context, const ForceFlags& flags) {
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<AttentionClient> client, context.Connect());
  return flags.clear ? client->ClearForcedOverride() : client->SetForcedOverride(flags.name);
}

int RunForce(const Context& context, const ForceFlags& flags) {
  if (flags.clear != flags.name.empty()) {
    return FailUsage(context, absl::InvalidArgumentError("name a backend, or give --clear"));
  }
  const absl::StatusOr<std::string> previous = ChangeForced(context, flags);
  if (!previous.ok()) return Fail(context, previous.status());
  if (context.json) {
    PrintJson({{"forced_backend", flags.name}, {"previous_backend", *previous}});
  } else if (flags.clear) {
    std::cout << "no backend is forced now; it was " << Printable(*previous) << std::endl;
  } else {
    std::cout << "forced: " << Printable(flags.name)
              << "; before: " << (previous->empty() ? "none" : Printable(*previous)) << std::endl;
  }
  return kExitOk;
}

}  // namespace

void AddForceCommand(CLI::App& app, Context& context) {
  auto flags = std::make_shared<ForceFlags>();
  CLI::App& command = *app.add_subcommand(
      "force", "Forces every call that no scope steers onto one backend, or stops that");
  command.footer(
      "An admin call: --admin_server names another address than --server for it. `auto` forces\n"
      "automatic selection.\n\n"
      "Examples:\n"
      "  attn force flash\n"
      "  attn force --clear\n\n"
      "Exit codes: 0 done; 1 refused; 2 wrong arguments; 3 no server answered.");
  command.add_option("NAME", flags->name, "Backend by name or alias, or auto");
  command.add_flag("--clear", flags->clear, "Takes the forced override back");
  command.callback([flags, &context] { context.exit_code = RunForce(context, *flags); });
}

}  // namespace attn::cli
