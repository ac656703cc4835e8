#include "client/named_tensors.h"

#include <algorithm>
#include <map>
#include <utility>

#include "kernels/core/limits.h"

namespace attn {
namespace {

using attention::v1::AttendRequest;
using attention::v1::MaskExpression;
using attention::v1::OptionValue;

class Collector {
 public:
  void Add(const std::string& name) {
    if (name.empty() || std::find(names_.begin(), names_.end(), name) != names_.end()) return;
    names_.push_back(name);
  }

  void AddOption(const OptionValue& value) {
    if (value.has_tensor()) Add(value.tensor());
    for (const OptionValue& element : value.list().values()) AddOption(element);
  }

  void AddMask(const MaskExpression& node, int depth) {
    if (depth > kMaxMaskDepth) return;  // The server refuses it.
    AddLeaf(node);
    for (const MaskExpression& arg : node.all_of().args()) AddMask(arg, depth + 1);
    for (const MaskExpression& arg : node.any_of().args()) AddMask(arg, depth + 1);
    if (node.has_negation()) AddMask(node.negation(), depth + 1);
    if (node.has_offset()) AddMask(node.offset().arg(), depth + 1);
    if (node.has_remap()) AddMask(node.remap().arg(), depth + 1);
  }

  std::vector<std::string> Take() { return std::move(names_); }

 private:
  // Of another operator than the node's own, every field is empty.
  void AddLeaf(const MaskExpression& node) {
    Add(node.sliding_window().window_per_head());
    Add(node.bidirectional_window().window_per_head());
    Add(node.chunked().left_padding());
    Add(node.blockwise().ids());
    Add(node.packed().ids());
    Add(node.padding().mask());
    Add(node.padding().lengths());
    Add(node.prefix().lengths());
    Add(node.dense().mask());
    Add(node.blocks().kv_num_blocks());
    Add(node.blocks().kv_indices());
    Add(node.blocks().full_kv_num_blocks());
    Add(node.blocks().full_kv_indices());
    for (const std::string& tensor : node.function().tensors()) Add(tensor);
    Add(node.remap().positions());
  }

  std::vector<std::string> names_;
};

}  // namespace

std::vector<std::string> NamedTensors(const AttendRequest& request) {
  Collector names;
  if (request.mask().has_expression()) names.AddMask(request.mask().expression(), 1);
  names.Add(request.modifiers().bias());
  names.Add(request.modifiers().alibi_slopes());
  names.Add(request.modifiers().sinks());
  names.Add(request.rotary().cos());
  names.Add(request.rotary().sin());
  names.Add(request.replicated().q());
  names.Add(request.replicated().k());
  names.Add(request.replicated().v());
  names.Add(request.skip_scores().sample_weights());
  names.Add(request.gate().tensor());
  std::map<std::string, const OptionValue*> options;  // A protobuf map has no order.
  for (const auto& [key, value] : request.options()) options.emplace(key, &value);
  for (const auto& [key, value] : options) names.AddOption(*value);
  return names.Take();
}

}  // namespace attn
