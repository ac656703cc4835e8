#include "client/cli/run_cli.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "client/cli/connection_flags.h"
#include "client/cli/parse_values.h"
#include "client/cli/report.h"
#include "kernels/core/nearest_name.h"

namespace attn::cli {
namespace {

constexpr char kFooter[] =
    "`attn COMMAND --help` shows a command with examples. The options above stand before or after\n"
    "the command. In the environment, ATTN_SCOPE names a scope that steers this program's "
    "calls.\n\n"
    "Exit codes: 0 done; 1 the call or check failed; 2 wrong arguments or an unreadable file;\n"
    "3 no server answered.";

constexpr char kCommonOptions[] =
    "\n\n--server, --tls, --json, --timeout and what else every command takes: see `attn --help`.";

void AddCommonOptions(CLI::App& app, Context& context) {
  AddConnectionFlags(app, context.client);
  app.add_flag("--json", context.json, "Prints JSON instead of tables");
  const auto store = [&context](absl::Duration timeout) { context.timeout = timeout; };
  AddDurationOption(app, "--timeout", store,
                    "Of every call: 500ms, 30s, 2m; default: 300s to compute, 30s otherwise");
}

// What the command line asked for is known only to a parser that has succeeded.
bool AsksForJson(int argc, const char* const* argv) {
  const char* const* end = std::find(argv, argv + argc, std::string("--"));
  return std::find(argv, end, std::string("--json")) != end;
}

// For a command line without a command: what is wrong with what stands in its place. Empty if there
// is a command.
std::string CommandProblem(const CLI::App& app) {
  if (!app.get_subcommands().empty()) return "";
  std::vector<std::string> known;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    known.push_back(command->get_name());
  }
  const std::vector<std::string> unknown = app.remaining();
  if (unknown.empty()) return absl::StrCat("no command; known: ", absl::StrJoin(known, ", "));
  if (unknown[0][0] == '-') {
    return absl::StrCat("unknown option ", Quoted(unknown[0]), "; `attn --help` shows the options");
  }
  return UnknownNameMessage("command", unknown[0], known);
}

int ParseFailed(const CLI::App& app, const CLI::ParseError& error, bool json) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
    return app.exit(error);  // --help, --version
  }
  Context context;
  context.json = json;
  const bool required = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError);
  const std::string problem = required ? CommandProblem(app) : "";
  return FailUsage(context, absl::InvalidArgumentError(problem.empty() ? error.what() : problem));
}

}  // namespace

int RunCli(int argc, const char* const* argv) {
  Context context;
  CLI::App app("attn: the client of attnd, attention as a service", "attn");
  app.footer(kFooter);
  app.set_version_flag("--version", "attn " ATTN_VERSION, "Prints the version and exits");
  app.require_subcommand(1);
  app.fallthrough();
  AddCommonOptions(app, context);
  AddCallCommand(app, context);
  AddVerifyCommand(app, context);
  AddLoadCommand(app, context);
  AddBackendsCommand(app, context);
  AddExplainCommand(app, context);
  AddMaskCommand(app, context);
  AddPolicyCommand(app, context);
  AddForceCommand(app, context);
  AddScopeCommand(app, context);
  AddQuarantineCommand(app, context);
  AddLogCommand(app, context);
  AddHealthCommand(app, context);
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    command->footer(command->get_footer() + kCommonOptions);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return ParseFailed(app, error, AsksForJson(argc, argv));
  }
  return context.exit_code;
}

}  // namespace attn::cli
