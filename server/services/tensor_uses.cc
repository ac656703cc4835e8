#include "server/services/tensor_uses.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/core/nearest_name.h"

namespace attn {
namespace {

constexpr const char* kOwnTensors[] = {"q", "k", "v"};

bool IsOwn(absl::string_view name) { return name == "q" || name == "k" || name == "v"; }

void AppendOption(const std::string& field, const OptionValue& value,
                  std::vector<TensorUse>* uses) {
  if (const auto* tensor = std::get_if<TensorName>(&value.value)) {
    uses->push_back({field, tensor->name});
  }
  if (const auto* list = std::get_if<OptionList>(&value.value)) {
    for (const OptionValue& item : *list) AppendOption(field, item, uses);
  }
}

// Nodes were counted and nest no deeper than kMaxMaskDepth.
void AppendNode(const std::string& path, const MaskNode& node, std::vector<TensorUse>* uses) {
  for (std::string& name : TensorsOf(node)) uses->push_back({path, std::move(name)});
  const std::vector<MaskNode>& args = ArgsOf(node);
  for (size_t i = 0; i < args.size(); ++i) AppendNode(PathOfArg(path, node, i), args[i], uses);
}

void AppendIfNamed(const char* field, const std::string& name, bool tokens,
                   std::vector<TensorUse>* uses) {
  if (!name.empty()) uses->push_back({field, name, tokens});
}

}  // namespace

void AppendUses(const OptionMap& options, std::vector<TensorUse>* uses) {
  for (const auto& [key, value] : options) {
    AppendOption(absl::StrCat("options[", Quoted(key), "]"), value, uses);
  }
}

void AppendUses(const MaskNode& mask, std::vector<TensorUse>* uses) {
  AppendNode(PathOfRoot(mask), mask, uses);
}

void AppendUses(const ScoreModifiers& modifiers, std::vector<TensorUse>* uses) {
  AppendIfNamed("modifiers.bias", modifiers.bias, false, uses);
  AppendIfNamed("modifiers.alibi_slopes", modifiers.alibi_slopes, false, uses);
  AppendIfNamed("modifiers.sinks", modifiers.sinks, false, uses);
}

void AppendUses(const CallStages& stages, std::vector<TensorUse>* uses) {
  AppendIfNamed("rotary.cos", stages.rotary.cos, false, uses);
  AppendIfNamed("rotary.sin", stages.rotary.sin, false, uses);
  AppendIfNamed("replicated.q", stages.replicated.q, true, uses);
  AppendIfNamed("replicated.k", stages.replicated.k, true, uses);
  AppendIfNamed("replicated.v", stages.replicated.v, true, uses);
  AppendIfNamed("skip_scores.sample_weights", stages.skip_scores.sample_weights, false, uses);
  AppendIfNamed("gate.tensor", stages.gate.tensor, false, uses);
}

absl::Status CheckUses(const std::vector<TensorUse>& uses, const std::vector<InputTensor>& inputs) {
  std::map<absl::string_view, const TensorUse*> used;  // nullptr: not yet by anybody.
  for (const InputTensor& input : inputs) used.emplace(input.name, nullptr);
  for (const char* name : kOwnTensors) {
    if (!used.contains(name)) {
      return absl::InvalidArgumentError(absl::StrCat("tensors: '", name, "' missing"));
    }
  }
  for (const TensorUse& use : uses) {
    const std::string name = Quoted(use.name);
    if (IsOwn(use.name)) {
      return absl::InvalidArgumentError(
          absl::StrCat(use.field, ": ", name, " not allowed, allowed: tensors beside q, k and v"));
    }
    const auto found = used.find(use.name);
    if (found == used.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensors: ", name, " missing, which ", use.field, " names"));
    }
    const TensorUse*& first = found->second;
    if (first != nullptr && first->tokens != use.tokens) {
      return absl::InvalidArgumentError(
          absl::StrCat(use.field, ": ", name, " is ", first->field, " too, allowed: one of them"));
    }
    first = &use;
  }
  for (const InputTensor& input : inputs) {
    if (IsOwn(input.name)) continue;
    const TensorUse* use = used.find(input.name)->second;
    if (use == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensors: ", Quoted(input.name),
                       " is neither q, k nor v and no field and no option names it"));
    }
    if (!use->tokens && (!input.pattern.empty() || input.heads != 0)) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", Quoted(input.name),
                       ": pattern and heads are for q, k, v and replicated tokens alone"));
    }
  }
  return absl::OkStatus();
}

}  // namespace attn
