// Options of a backend in YAML: the same values as their JSON text form.
#ifndef ATTN_SERVER_CONFIG_YAML_OPTION_H_
#define ATTN_SERVER_CONFIG_YAML_OPTION_H_

#include <string>

#include "kernels/core/options.h"
#include "server/config/yaml_mapping.h"
#include "server/config/yaml_tree.h"

namespace attn {

// A mapping of names to true or false, integers, floats, text, lists of these and {tensor: NAME}.
// Text in quotes is always text. `place` begins every mistake. Whether a backend has such an option
// is not known here.
OptionMap ReadOptions(const YamlNode& node, const std::string& place, YamlMistakes* mistakes);

}  // namespace attn

#endif  // ATTN_SERVER_CONFIG_YAML_OPTION_H_
