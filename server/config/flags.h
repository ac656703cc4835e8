// The arguments of attnd: `--key value` or `--key=value` for every key of the configuration, and
// what to do.
#ifndef ATTN_SERVER_CONFIG_FLAGS_H_
#define ATTN_SERVER_CONFIG_FLAGS_H_

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace attn {

struct Flags {
  bool help = false;
  bool version = false;
  bool check_config = false;
  bool print_config = false;
  std::string config;  // Empty = not given.
  // Key and text, in the order given; only `listen` more than once. Texts are not checked.
  std::vector<std::pair<std::string, std::string>> values;
  // Unknown flags (with the nearest known one), missing values, ...: one line each.
  std::vector<std::string> mistakes;
};

// `arguments` without the program's name.
Flags ParseFlags(std::span<const std::string> arguments);

}  // namespace attn

#endif  // ATTN_SERVER_CONFIG_FLAGS_H_
