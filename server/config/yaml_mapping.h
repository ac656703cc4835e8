// Reading one mapping of a YAML file, collecting every mistake instead of stopping at the first.
#ifndef ATTN_SERVER_CONFIG_YAML_MAPPING_H_
#define ATTN_SERVER_CONFIG_YAML_MAPPING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/config/yaml_tree.h"

namespace attn {

// What is wrong with one file so far. Not thread-safe.
class YamlMistakes {
 public:
  // `file` is named in every mistake as it was given.
  explicit YamlMistakes(std::string file) : file_(std::move(file)) {}

  void Add(int line, std::string what);

  // OK, or INVALID_ARGUMENT with every mistake in the order of lines, as FILE:LINE: what.
  absl::Status ToStatus() const;

 private:
  std::string file_;
  std::vector<std::pair<int, std::string>> mistakes_;
};

// A cursor over one mapping. A read of an absent key returns nothing and is no mistake; a value of
// the wrong type or range returns nothing and is one. Borrows the node and the mistakes.
class YamlMapping {
 public:
  // `place` is the dotted path of the mapping, empty for the root; it begins every mistake. A key
  // that stands there twice is a mistake, and so is a node that is no mapping; it reads as one
  // without keys, as does an empty root.
  YamlMapping(const YamlNode& node, std::string place, YamlMistakes* mistakes);

  // Null if absent.
  const YamlNode* Value(absl::string_view key);
  std::optional<std::string> Text(absl::string_view key);
  std::optional<int64_t> Integer(absl::string_view key, int64_t min, int64_t max);

  // A mistake if the key is absent. Counts as asking for it.
  bool Require(absl::string_view key);

  // After the last read: every key that nobody asked for is a mistake.
  void RefuseOtherKeys() const;

  // A mistake at the line of `key`, of the mapping if there is none.
  void AddMistake(absl::string_view key, absl::string_view what) const;

  std::string PlaceOf(absl::string_view key) const;
  // Of the key; of the mapping if it has no such key.
  int LineOf(absl::string_view key) const;

 private:
  const YamlNode::Field* Find(absl::string_view key) const;

  const YamlNode& node_;
  const std::string place_;
  YamlMistakes* const mistakes_;
  std::vector<std::string> asked_;
};

// "VALUE is out of range, allowed: MIN to MAX".
std::string OutOfRange(int64_t value, int64_t min, int64_t max);

}  // namespace attn

#endif  // ATTN_SERVER_CONFIG_YAML_MAPPING_H_
