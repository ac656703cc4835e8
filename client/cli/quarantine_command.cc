#include <iostream>
#include <memory>
#include <string>

#include "client/cli/command.h"
#include "client/cli/report.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

struct QuarantineFlags {
  std::string name;
  std::string reason;
  std::string release;
};

// The canonical name of the backend.
absl::StatusOr<std::string> Change(const Context& context, const QuarantineFlags& flags) {
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<AttentionClient> client, context.Connect());
  return flags.release.empty() ? client->QuarantineBackend(flags.name, flags.reason)
                               : client->ReleaseBackend(flags.release);
}

int Run(const Context& context, const QuarantineFlags& flags) {
  if (flags.name.empty() == flags.release.empty()) {
    return FailUsage(context, absl::InvalidArgumentError("name a backend, or give --release NAME"));
  }
  if (flags.release.empty() && flags.reason.empty()) {
    return FailUsage(context, absl::InvalidArgumentError(
                                  "--reason: missing; callers whose choice is refused see it"));
  }
  const absl::StatusOr<std::string> backend = Change(context, flags);
  if (!backend.ok()) return Fail(context, backend.status());
  const bool quarantined = flags.release.empty();
  if (context.json) {
    PrintJson({{"backend", *backend}, {"quarantined", quarantined}});
  } else {
    std::cout << *backend << (quarantined ? " is quarantined: " : " is released")
              << (quarantined ? flags.reason : "") << std::endl;
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
      "  attn quarantine --release flash\n\n"
      "Exit codes: 0 done; 1 refused; 2 wrong arguments; 3 no server answered.");
  CLI::Option* name = command.add_option("NAME", flags->name, "Backend by name or alias");
  command.add_option("--reason", flags->reason, "Shown to callers whose choice it refuses")
      ->needs(name)
      ->type_name("TEXT");
  command.add_option("--release", flags->release, "Lets the backend be chosen again")
      ->type_name("NAME");
  command.callback([flags, &context] { context.exit_code = Run(context, *flags); });
}

}  // namespace attn::cli
