// A YAML file as a plain tree whose nodes know their line.
//
// ReadYaml is the only place that meets yaml-cpp and its exceptions.
#ifndef ATTN_SERVER_CONFIG_YAML_TREE_H_
#define ATTN_SERVER_CONFIG_YAML_TREE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace attn {

// Immutable once read. An alias shares the node of its anchor.
struct YamlNode {
  enum class Kind : uint8_t { kNull, kScalar, kSequence, kMapping };

  struct Field {
    std::string key;
    int line = 1;  // Of the key.
    std::shared_ptr<const YamlNode> value;
  };

  Kind kind = Kind::kNull;
  int line = 1;                                        // From 1.
  std::string text;                                    // kScalar
  bool quoted = false;                                 // kScalar: '3' in quotes is no number.
  std::vector<std::shared_ptr<const YamlNode>> items;  // kSequence
  std::vector<Field> fields;                           // kMapping, in the file's order.
};

// `nothing`, `'text'`, `a list`, `a mapping`: what stands there, for mistakes.
std::string Describe(const YamlNode& node);

// The root of the file's only document; a kNull node for an empty file. NOT_FOUND if the file
// cannot be read; INVALID_ARGUMENT, as FILE:LINE: what, if it is not YAML or uses what
// configuration has no meaning for: a second document, tags, keys that are no text, an alias of a
// node around it.
absl::StatusOr<std::shared_ptr<const YamlNode>> ReadYaml(const std::string& path);

}  // namespace attn

#endif  // ATTN_SERVER_CONFIG_YAML_TREE_H_
