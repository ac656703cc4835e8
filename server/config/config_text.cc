#include "server/config/config_text.h"

#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "server/config/address_syntax.h"
#include "server/config/config_keys.h"

namespace attn {
namespace {

constexpr size_t kWidth = 100;  // Of a line of help.
constexpr size_t kIndent = 36;  // Where its explanations begin.

constexpr char kUsage[] =
    "attnd: attention as a service. Keeps attention backends resident and answers gRPC calls\n"
    "(proto/attention/v1).\n"
    "\n"
    "Usage: attnd [--config FILE] [--KEY VALUE]...\n"
    "\n";

constexpr char kPrecedence[] =
    "\nEvery key is also a key of the file and, in capitals behind ATTN_, an environment variable\n"
    "(ATTN_LISTEN takes addresses separated by commas). A flag wins over the variable, that over\n"
    "the file, that over the default in brackets. --listen may be repeated and replaces the list.\n"
    "Keys marked * change on SIGHUP, which reads the file and the presets again; what flags and\n"
    "variables set stays, and a file with a mistake changes nothing.\n"
    "\n"
    "Environment beside the keys:\n"
    "  ATTN_CONFIG   as --config\n"
    "  ATTN_BACKEND  backend of calls that no scope, no forced override and not the call itself\n"
    "                names (rule 4 of selection)\n"
    "\n"
    "Examples:\n"
    "  attnd --listen localhost:8601 --listen unix:/run/attnd/attnd.sock\n"
    "  ATTN_BACKEND=flash attnd --config config/server.yaml --metrics_listen localhost:0\n"
    "  ATTN_WORKERS=4 attnd --config config/server.yaml --check_config\n"
    "\n"
    "SIGTERM or SIGINT: readiness goes off at once, calls are served on for lame_duck_ms, then "
    "new\n"
    "ones are refused and admitted ones finish within drain_limit_ms. A second one ends the "
    "process\n"
    "at once.\n"
    "Exit code: 0 stopped in order; 1 it could not start, or calls were cut off; 2 a mistake in\n"
    "flags, variables or files.\n";

// `text` broken at spaces, from column kIndent on.
std::string Wrapped(absl::string_view text) {
  std::string result;
  size_t column = kIndent;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    if (column > kIndent && column + 1 + word.size() > kWidth) {
      absl::StrAppend(&result, "\n", std::string(kIndent, ' '));
      column = kIndent;
    }
    if (column > kIndent) {
      absl::StrAppend(&result, " ");
      ++column;
    }
    absl::StrAppend(&result, word);
    column += word.size();
  }
  return result;
}

void AppendFlag(std::string* out, absl::string_view flag, absl::string_view help) {
  std::string left = absl::StrCat("  ", flag);
  const bool fits = left.size() + 2 <= kIndent;
  left.append(fits ? kIndent - left.size() : 0, ' ');
  absl::StrAppend(out, left, fits ? "" : absl::StrCat("\n", std::string(kIndent, ' ')),
                  Wrapped(help), "\n");
}

std::string FlagHelp(const ConfigKey& key) {
  const std::string text = absl::StrJoin(TextsOf(key, ServerOptions()), ",");
  return absl::StrCat(key.help, " [", text.empty() ? "none" : text, "]", key.reloads ? " *" : "");
}

std::string Absolute(absl::string_view path) {
  std::error_code ignored;  // The working folder is gone: then the path as it is.
  const std::filesystem::path absolute =
      std::filesystem::absolute(std::filesystem::path(std::string(path)), ignored);
  return absolute.empty() ? std::string(path) : absolute.lexically_normal().string();
}

// In double quotes, which take every text; bytes from 0x80 on are UTF-8 and stay.
std::string QuotedYaml(absl::string_view text) {
  // Escapes as in C are YAML's as well, but for that of the apostrophe.
  return absl::StrCat("\"", absl::StrReplaceAll(absl::Utf8SafeCHexEscape(text), {{"\\'", "'"}}),
                      "\"");
}

std::string YamlValue(const ConfigKey& key, const std::string& text) {
  absl::string_view path = text;
  switch (key.type) {
    case KeyType::kChoice:
    case KeyType::kInteger:
    case KeyType::kBool:
      return text;
    case KeyType::kPath:
      return QuotedYaml(text.empty() ? "" : Absolute(text));
    case KeyType::kAddresses:
      if (absl::ConsumePrefix(&path, kUnixPrefix)) {
        return QuotedYaml(absl::StrCat(kUnixPrefix, Absolute(path)));
      }
      return QuotedYaml(text);
    default:
      return QuotedYaml(text);
  }
}

}  // namespace

std::string HelpText() {
  std::string text = kUsage;
  AppendFlag(&text, "--config FILE", "configuration file; config/server.yaml shows every key");
  AppendFlag(&text, "--check_config",
             "read everything that a start would read, say `ok` or every mistake, and exit");
  AppendFlag(&text, "--print_config",
             "print every value as YAML, with where it comes from, and exit; with --check_config "
             "only if nothing is wrong");
  AppendFlag(&text, "--help", "this text");
  AppendFlag(&text, "--version", "the version");
  absl::StrAppend(&text, "\nKeys:\n");
  for (const ConfigKey& key : ConfigKeys()) {
    AppendFlag(&text, absl::StrCat("--", key.name, " ", key.value), FlagHelp(key));
  }
  return absl::StrCat(text, kPrecedence);
}

std::string PrintedConfig(const ServerConfig& config) {
  std::string text = "# The effective configuration of attnd, and where each value comes from.\n";
  for (const ConfigKey& key : ConfigKeys()) {
    const std::string comment =
        absl::StrCat("  # ", absl::Utf8SafeCHexEscape(config.OriginOf(key.name)), "\n");
    const std::vector<std::string> values = TextsOf(key, config.options);
    if (key.type != KeyType::kAddresses) {
      absl::StrAppend(&text, key.name, ": ", YamlValue(key, values[0]), comment);
      continue;
    }
    absl::StrAppend(&text, key.name, ":", comment);
    for (const std::string& value : values) {
      absl::StrAppend(&text, "  - ", YamlValue(key, value), "\n");
    }
  }
  return text;
}

}  // namespace attn
