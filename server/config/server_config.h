// Options from their four sources: a flag wins over an ATTN_ variable, that over the file, that
// over the default, key by key.
#ifndef ATTN_SERVER_CONFIG_SERVER_CONFIG_H_
#define ATTN_SERVER_CONFIG_SERVER_CONFIG_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/config/server_options.h"

namespace attn {

// What a process was started with. Read again at every reload, of which only the file can differ.
struct ConfigSources {
  std::string file;  // Empty = none.
  // Of the environment, in its order; those of other names than ATTN_... are left alone.
  std::vector<std::pair<std::string, std::string>> variables;
  // Key and text, in the order given; `listen` may stand there several times.
  std::vector<std::pair<std::string, std::string>> flags;
};

struct ServerConfig {
  ServerOptions options;
  // What set a key: `FILE:LINE`, `ATTN_KEY` or `--key`. A key that stands not here has its default.
  std::map<std::string, std::string, std::less<>> origins;
  std::vector<std::string> warnings;  // One line each.

  std::string OriginOf(absl::string_view key) const;  // `default` for those.
  // `mistake`, which begins with `KEY: `, with where the key was set: `FILE:LINE: KEY: `,
  // `ATTN_KEY: ` or `--KEY: `. Without change if it begins otherwise or the key has its default.
  std::string WithOrigin(absl::string_view mistake) const;
};

// What the sources say. Appends every mistake of every source to `mistakes`, one a line, each
// beginning with where it stands (FILE:LINE, the variable, the flag), with the nearest known name.
// What a winning source overrides must be right as well. A key with a mistake gets its default, so
// that what does not depend on it can still be judged. Paths in the file are relative to it.
ServerConfig ReadServerConfig(const ConfigSources& sources, std::vector<std::string>* mistakes);

}  // namespace attn

#endif  // ATTN_SERVER_CONFIG_SERVER_CONFIG_H_
