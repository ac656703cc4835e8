#include "server/config/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// A thousand times the size of the files we ship.
constexpr size_t kMaxFileBytes = size_t{4} << 20;

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  // A pipe would be waited for, by the thread that takes the stop signals.
  std::error_code error;
  if (std::filesystem::is_fifo(path, error)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": a pipe, expected a file"));
  }
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (file == nullptr) return absl::NotFoundError(absl::StrCat(path, ": ", std::strerror(errno)));
  std::string text(kMaxFileBytes + 1, '\0');
  errno = 0;
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) {
    return absl::NotFoundError(absl::StrCat(path, ": ", std::strerror(errno)));
  }
  if (text.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":1: longer than ", kMaxFileBytes, " bytes"));
  }
  return text;
}

// Builds the tree of one document. What it refuses is kept until the document has ended: yaml-cpp
// offers no other way to stop than to throw.
class TreeBuilder : public YAML::EventHandler {
 public:
  struct Refusal {
    int line;
    std::string what;
  };

  std::shared_ptr<const YamlNode> root() const { return root_; }
  const std::optional<Refusal>& refusal() const { return refusal_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Place(NewNode(YamlNode::Kind::kNull, mark), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      Refuse(mark, "an alias of a node that it stands in");
      Place(NewNode(YamlNode::Kind::kNull, mark), 0);
    } else {
      Place(found->second, 0);
    }
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    auto node = NewNode(YamlNode::Kind::kScalar, mark);
    node->text = value;
    // yaml-cpp's own tags: `?` for plain text, `!` for quoted and block text.
    node->quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
    if (!node->quoted) RefuseTag(mark, tag);
    Place(std::move(node), anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    RefuseTag(mark, tag);
    open_.push_back({NewNode(YamlNode::Kind::kSequence, mark), anchor, std::nullopt});
  }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    RefuseTag(mark, tag);
    open_.push_back({NewNode(YamlNode::Kind::kMapping, mark), anchor, std::nullopt});
  }

  void OnSequenceEnd() override { Close(); }
  void OnMapEnd() override { Close(); }

 private:
  struct OpenNode {
    std::shared_ptr<YamlNode> node;
    YAML::anchor_t anchor;
    std::optional<YamlNode::Field> key;  // Of a mapping: read, its value not yet.
  };

  static std::shared_ptr<YamlNode> NewNode(YamlNode::Kind kind, const YAML::Mark& mark) {
    auto node = std::make_shared<YamlNode>();
    node->kind = kind;
    node->line = mark.line + 1;
    return node;
  }

  void Refuse(const YAML::Mark& mark, std::string what) {
    if (!refusal_.has_value()) refusal_ = Refusal{mark.line + 1, std::move(what)};
  }

  void RefuseTag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?")
      Refuse(mark, absl::StrCat("tag ", Quoted(tag), " has no meaning here"));
  }

  // Puts a complete node where the document stands: the root, a list's next item, a mapping's next
  // key or that key's value.
  void Place(std::shared_ptr<const YamlNode> node, YAML::anchor_t anchor) {
    if (anchor != 0) anchors_[anchor] = node;
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    OpenNode& parent = open_.back();
    if (parent.node->kind == YamlNode::Kind::kSequence) {
      parent.node->items.push_back(std::move(node));
    } else if (parent.key.has_value()) {
      parent.key->value = std::move(node);
      parent.node->fields.push_back(*std::exchange(parent.key, std::nullopt));
    } else {
      if (node->kind != YamlNode::Kind::kScalar && !refusal_.has_value()) {
        refusal_ =
            Refusal{node->line, absl::StrCat("a key must be text, here stands ", Describe(*node))};
      }
      parent.key = YamlNode::Field{node->text, node->line, nullptr};
    }
  }

  void Close() {
    OpenNode done = std::move(open_.back());
    open_.pop_back();
    Place(std::move(done.node), done.anchor);
  }

  std::vector<OpenNode> open_;
  std::map<YAML::anchor_t, std::shared_ptr<const YamlNode>> anchors_;  // Of complete nodes.
  std::shared_ptr<const YamlNode> root_ = std::make_shared<YamlNode>();
  std::optional<Refusal> refusal_;
};

absl::Status MistakeAt(const std::string& path, int line, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ":", line, ": ", what));
}

}  // namespace

std::string Describe(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kScalar:
      return Quoted(node.text);
    case YamlNode::Kind::kSequence:
      return "a list";
    case YamlNode::Kind::kMapping:
      return "a mapping";
  }
  return "";
}

absl::StatusOr<std::shared_ptr<const YamlNode>> ReadYaml(const std::string& path) {
  ATTN_ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  TreeBuilder first;
  TreeBuilder second;
  bool has_second = false;
  try {
    std::istringstream stream(std::move(text));
    YAML::Parser parser(stream);
    if (parser.HandleNextDocument(first)) has_second = parser.HandleNextDocument(second);
  } catch (const YAML::Exception& error) {
    return MistakeAt(path, error.mark.is_null() ? 1 : error.mark.line + 1, error.msg);
  } catch (const std::exception& error) {
    return MistakeAt(path, 1, error.what());
  }
  if (first.refusal().has_value()) {
    return MistakeAt(path, first.refusal()->line, first.refusal()->what);
  }
  if (has_second) {
    return MistakeAt(path, second.root()->line, "a second document begins here; one is read");
  }
  return first.root();
}

}  // namespace attn
