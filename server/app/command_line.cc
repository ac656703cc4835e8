#include "server/app/command_line.h"

#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "server/app/version.h"
#include "server/config/config_text.h"
#include "server/config/environment_names.h"
#include "server/config/flags.h"

namespace attn {
namespace {

std::vector<std::pair<std::string, std::string>> AttnVariables(char** environment) {
  std::vector<std::pair<std::string, std::string>> variables;
  for (char** entry = environment; *entry != nullptr; ++entry) {
    const absl::string_view text = *entry;
    if (!absl::StartsWith(text, kVariablePrefix)) continue;
    variables.push_back(absl::StrSplit(text, absl::MaxSplits('=', 1)));
  }
  return variables;
}

std::string VariableOr(const ConfigSources& sources, absl::string_view name) {
  for (const auto& [variable, text] : sources.variables) {
    if (variable == name) return text;
  }
  return "";
}

}  // namespace

CommandLine ParseCommandLine(int argc, char** argv, char** environment) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  Flags flags = ParseFlags(arguments);
  CommandLine result;
  if (flags.help || flags.version) {
    if (flags.help) {
      std::cout << HelpText();
    } else {
      std::cout << "attnd " << kVersion << "\n";
    }
    result.exit_code = 0;
    return result;
  }
  result.sources.variables = AttnVariables(environment);
  result.sources.flags = std::move(flags.values);
  result.sources.file =
      flags.config.empty() ? VariableOr(result.sources, "ATTN_CONFIG") : flags.config;
  result.environment_backend = VariableOr(result.sources, "ATTN_BACKEND");
  result.check_config = flags.check_config;
  result.print_config = flags.print_config;

  result.mistakes = std::move(flags.mistakes);
  result.config = ReadServerConfig(result.sources, &result.mistakes);
  return result;
}

}  // namespace attn
