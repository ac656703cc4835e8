// THE table of the server's options. Reading YAML, flags and ATTN_ variables, --help,
// --print_config and every check of a single value come from it: a new option is a member of
// ServerOptions, one line here and its section of config/server.yaml.
#ifndef ATTN_SERVER_CONFIG_CONFIG_KEYS_H_
#define ATTN_SERVER_CONFIG_CONFIG_KEYS_H_

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/config/server_options.h"

namespace attn {

// How a value is written.
enum class KeyType : uint8_t {
  kAddresses,       // One or more; every other type is one value.
  kMetricsAddress,  // Or `off`.
  kPath,            // Of a file or folder; empty = none. In a file it is relative to that file.
  kBackend,         // Empty = none. Whether it is one is known when plug-ins are loaded.
  kText,            // Whatever its user takes; empty = none.
  kChoice,          // One of the names in `value`.
  kInteger,
  kBool,  // true or false
  kMode,  // Permissions, in octal.
};

struct ConfigKey {
  // In files and, behind `--`, as a flag.
  absl::string_view name;
  KeyType type;
  std::variant<std::vector<std::string> ServerOptions::*, std::string ServerOptions::*,
               int64_t ServerOptions::*, bool ServerOptions::*>
      member;
  int64_t min;  // Of kInteger and kMode.
  int64_t max;
  absl::string_view value;  // Unit or kind, as --help shows it; of kChoice the names: `a|b|c`.
  bool reloads;             // SIGHUP changes it in a running server.
  absl::string_view help;
};

// In the order of help and of config/server.yaml.
std::span<const ConfigKey> ConfigKeys();
// nullptr if there is none.
const ConfigKey* FindConfigKey(absl::string_view name);
// `ATTN_` and the name in capitals.
std::string VariableOf(const ConfigKey& key);

// What the key takes, for mistakes: `an integer from 0 to 1024`.
std::string Expectation(const ConfigKey& key);

// Takes over what `text` says, or says what is wrong with it and what is allowed. Appends to
// kAddresses, replaces the others.
absl::Status SetFromText(const ConfigKey& key, absl::string_view text, ServerOptions* options);

// The value as SetFromText takes it: of kAddresses any number of texts, else one.
std::vector<std::string> TextsOf(const ConfigKey& key, const ServerOptions& options);

// Copies one option.
void CopyOption(const ConfigKey& key, const ServerOptions& from, ServerOptions* to);

}  // namespace attn

#endif  // ATTN_SERVER_CONFIG_CONFIG_KEYS_H_
