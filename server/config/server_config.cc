#include "server/config/server_config.h"

#include <filesystem>
#include <set>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "kernels/core/nearest_name.h"
#include "server/config/address_syntax.h"
#include "server/config/config_keys.h"
#include "server/config/environment_names.h"
#include "server/config/option_combinations.h"
#include "server/config/yaml_mapping.h"
#include "server/config/yaml_tree.h"

namespace attn {
namespace {

constexpr absl::string_view kNoAddress = "empty, at least one address is needed";

std::vector<std::string> SplitLines(absl::string_view text) { return absl::StrSplit(text, '\n'); }

// `path` as seen from where the process runs, given as seen from the folder of `file`.
std::string RelativeTo(const std::string& file, absl::string_view path) {
  const std::filesystem::path folder = std::filesystem::path(file).parent_path();
  return (folder / std::string(path)).lexically_normal().string();
}

// Text of a file, its paths made relative to where the process runs.
std::string Located(const ConfigKey& key, const std::string& text, const std::string& file) {
  if (key.type == KeyType::kPath) return text.empty() ? "" : RelativeTo(file, text);
  absl::string_view path = text;
  if (key.type == KeyType::kAddresses && absl::ConsumePrefix(&path, kUnixPrefix) && !path.empty()) {
    return absl::StrCat(kUnixPrefix, RelativeTo(file, path));
  }
  return text;
}

// Puts the sources over one another, from the weakest to the strongest, and collects what is wrong
// with any of them.
class Loader {
 public:
  void ReadFile(const std::string& file) {
    const absl::StatusOr<std::shared_ptr<const YamlNode>> tree = ReadYaml(file);
    if (absl::IsNotFound(tree.status())) {
      mistakes_.push_back(absl::StrCat("config: ", tree.status().message(),
                                       "; --config or ATTN_CONFIG names a file that can be read"));
      return;
    }
    if (!tree.ok()) {
      mistakes_.emplace_back(tree.status().message());
      return;
    }
    YamlMistakes mistakes(file);
    YamlMapping root(**tree, "", &mistakes);
    for (const ConfigKey& key : ConfigKeys()) {
      const YamlNode* value = root.Value(key.name);
      if (value == nullptr) continue;
      Begin(key, absl::StrCat(file, ":", root.LineOf(key.name)));
      if (key.type == KeyType::kAddresses) {
        ReadList(key, file, *value, root, &mistakes);
      } else {
        ReadScalar(key, file, *value, root);
      }
    }
    root.RefuseOtherKeys();
    if (const absl::Status status = mistakes.ToStatus(); !status.ok()) {
      for (std::string& line : SplitLines(status.message())) mistakes_.push_back(std::move(line));
    }
  }

  void ReadVariable(const std::string& name, const std::string& text) {
    if (!absl::StartsWith(name, kVariablePrefix)) return;
    for (const ConfigKey& key : ConfigKeys()) {
      if (name != VariableOf(key)) continue;
      Begin(key, name);
      if (key.type != KeyType::kAddresses) return Set(key, name, text);
      for (const absl::string_view address : absl::StrSplit(text, ',')) Set(key, name, address);
      return;
    }
    std::string warning = UnknownVariableWarning(name);
    if (!warning.empty()) config_.warnings.push_back(std::move(warning));
  }

  void ReadFlags(const std::vector<std::pair<std::string, std::string>>& flags) {
    for (const auto& [name, text] : flags) {
      const ConfigKey* key = FindConfigKey(name);
      const std::string origin = absl::StrCat("--", name);
      if (config_.OriginOf(name) != origin) Begin(*key, origin);
      Set(*key, origin, text);
    }
  }

  ServerConfig Finish(std::vector<std::string>* mistakes) {
    CombinationFindings findings = CheckCombinations(config_, broken_);
    for (std::string& mistake : findings.mistakes) mistakes_.push_back(std::move(mistake));
    for (std::string& warning : findings.warnings) config_.warnings.push_back(std::move(warning));
    for (const std::string& key : broken_) {
      CopyOption(*FindConfigKey(key), ServerOptions(), &config_.options);
    }
    mistakes->insert(mistakes->end(), mistakes_.begin(), mistakes_.end());
    return std::move(config_);
  }

 private:
  // `origin` sets `key` from here on.
  void Begin(const ConfigKey& key, const std::string& origin) {
    config_.origins[std::string(key.name)] = origin;
    if (key.type != KeyType::kAddresses) return;
    (config_.options.*std::get<std::vector<std::string> ServerOptions::*>(key.member)).clear();
  }

  void Set(const ConfigKey& key, const std::string& origin, absl::string_view text) {
    const absl::Status status = SetFromText(key, text, &config_.options);
    if (status.ok()) return;
    broken_.emplace(key.name);
    mistakes_.push_back(absl::StrCat(origin, ": ", status.message()));
  }

  void Refuse(const ConfigKey& key, const YamlMapping& root, absl::string_view what) {
    broken_.emplace(key.name);
    root.AddMistake(key.name, what);
  }

  void ReadScalar(const ConfigKey& key, const std::string& file, const YamlNode& value,
                  const YamlMapping& root) {
    const bool typed = key.type == KeyType::kInteger || key.type == KeyType::kBool;
    if (value.kind != YamlNode::Kind::kScalar || (typed && value.quoted)) {
      return Refuse(key, root,
                    absl::StrCat("expected ", Expectation(key), ", here stands ",
                                 value.quoted ? "the text " : "", Describe(value)));
    }
    const absl::Status status = SetFromText(key, Located(key, value.text, file), &config_.options);
    if (!status.ok()) Refuse(key, root, status.message());
  }

  void ReadList(const ConfigKey& key, const std::string& file, const YamlNode& value,
                const YamlMapping& root, YamlMistakes* mistakes) {
    if (value.kind != YamlNode::Kind::kSequence) {
      return Refuse(key, root,
                    absl::StrCat("expected ", Expectation(key), ", here stands ", Describe(value)));
    }
    if (value.items.empty()) Refuse(key, root, kNoAddress);
    for (const auto& item : value.items) {
      absl::Status status;
      if (item->kind == YamlNode::Kind::kScalar) {
        status = SetFromText(key, Located(key, item->text, file), &config_.options);
      } else {
        status = absl::InvalidArgumentError(
            absl::StrCat("expected an address, here stands ", Describe(*item)));
      }
      if (status.ok()) continue;
      broken_.emplace(key.name);
      mistakes->Add(item->line, absl::StrCat(key.name, ": ", status.message()));
    }
  }

  ServerConfig config_;
  std::vector<std::string> mistakes_;
  std::set<std::string, std::less<>> broken_;
};

}  // namespace

std::string ServerConfig::OriginOf(absl::string_view key) const {
  const auto found = origins.find(key);
  return found == origins.end() ? "default" : found->second;
}

std::string ServerConfig::WithOrigin(absl::string_view mistake) const {
  const auto found = origins.find(mistake.substr(0, mistake.find(':')));
  if (found == origins.end()) return std::string(mistake);
  const std::string& origin = found->second;
  if (absl::StrContains(origin, ':')) return absl::StrCat(origin, ": ", mistake);
  return absl::StrCat(origin, mistake.substr(found->first.size()));
}

ServerConfig ReadServerConfig(const ConfigSources& sources, std::vector<std::string>* mistakes) {
  Loader loader;
  if (!sources.file.empty()) loader.ReadFile(sources.file);
  for (const auto& [name, text] : sources.variables) loader.ReadVariable(name, text);
  loader.ReadFlags(sources.flags);
  return loader.Finish(mistakes);
}

}  // namespace attn
