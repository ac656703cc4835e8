#include "kernels/core/mask_expression.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/core/mask_expression_check.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// By the index of MaskNode's variant.
constexpr const char* kNames[] = {"causal",
                                  "bidirectional",
                                  "sliding_window",
                                  "bidirectional_window",
                                  "chunked",
                                  "blockwise",
                                  "packed",
                                  "padding",
                                  "prefix",
                                  "dense",
                                  "blocks",
                                  "function",
                                  "and",
                                  "or",
                                  "not",
                                  "offset",
                                  "remap"};
static_assert(std::size(kNames) == std::variant_size_v<decltype(MaskNode::op)>);

struct ArgsVisitor {
  const std::vector<MaskNode>* operator()(const mask_op::Blocks& op) const { return &op.partial; }
  const std::vector<MaskNode>* operator()(const mask_op::All& op) const { return &op.args; }
  const std::vector<MaskNode>* operator()(const mask_op::Any& op) const { return &op.args; }
  const std::vector<MaskNode>* operator()(const mask_op::Not& op) const { return &op.arg; }
  const std::vector<MaskNode>* operator()(const mask_op::Offset& op) const { return &op.arg; }
  const std::vector<MaskNode>* operator()(const mask_op::Remap& op) const { return &op.arg; }
  template <typename Leaf>
  const std::vector<MaskNode>* operator()(const Leaf&) const {
    return nullptr;
  }
};

std::vector<std::string> Given(std::initializer_list<std::string> names) {
  std::vector<std::string> given;
  std::copy_if(names.begin(), names.end(), std::back_inserter(given),
               [](const std::string& name) { return !name.empty(); });
  return given;
}

struct TensorsVisitor {
  using Names = std::vector<std::string>;
  Names operator()(const mask_op::SlidingWindow& op) const { return Given({op.per_head}); }
  Names operator()(const mask_op::BidirectionalWindow& op) const { return Given({op.per_head}); }
  Names operator()(const mask_op::Chunked& op) const { return Given({op.left_padding}); }
  Names operator()(const mask_op::Blockwise& op) const { return Given({op.ids}); }
  Names operator()(const mask_op::Packed& op) const { return Given({op.ids}); }
  Names operator()(const mask_op::Padding& op) const { return Given({op.mask, op.lengths}); }
  Names operator()(const mask_op::Prefix& op) const { return Given({op.lengths}); }
  Names operator()(const mask_op::Dense& op) const { return Given({op.mask}); }
  Names operator()(const mask_op::Blocks& op) const {
    return Given({op.kv_num_blocks, op.kv_indices, op.full_kv_num_blocks, op.full_kv_indices});
  }
  Names operator()(const mask_op::Function& op) const { return op.tensors; }
  Names operator()(const mask_op::Remap& op) const { return Given({op.positions}); }
  template <typename Other>
  Names operator()(const Other&) const {
    return {};
  }
};

}  // namespace

int mask_op::Blocks::tables() const { return partial.empty() || full_kv_indices.empty() ? 1 : 2; }

const char* Name(const MaskNode& node) { return kNames[node.op.index()]; }

const std::vector<MaskNode>& ArgsOf(const MaskNode& node) {
  static const std::vector<MaskNode> kNone;
  const std::vector<MaskNode>* args = std::visit(ArgsVisitor(), node.op);
  return args == nullptr ? kNone : *args;
}

std::vector<std::string> TensorsOf(const MaskNode& node) {
  return std::visit(TensorsVisitor(), node.op);
}

std::string PathOfRoot(const MaskNode& root) {
  return absl::StrCat("mask.expression.", Name(root));
}

std::string PathOfArg(const std::string& path, const MaskNode& node, size_t index) {
  const bool list = std::holds_alternative<mask_op::All>(node.op) ||
                    std::holds_alternative<mask_op::Any>(node.op);
  return absl::StrCat(path, list ? absl::StrCat("[", index, "]") : "", ".",
                      Name(ArgsOf(node)[index]));
}

absl::StatusOr<std::shared_ptr<const MaskExpression>> MaskExpression::Create(
    MaskExpressionSpec spec, const MaskSizes& sizes, const TensorMap& tensors,
    const std::vector<const MaskFunction*>& functions) {
  ATTN_ASSIGN_OR_RETURN(const MaskSummary summary,
                        CheckMaskExpression(spec, sizes, tensors, functions));
  std::shared_ptr<MaskExpression> expression(new MaskExpression);
  expression->spec_ = std::move(spec);
  expression->sizes_ = sizes;
  expression->functions_ = functions;
  expression->per_sample_ = summary.per_sample;
  expression->per_head_ = summary.per_head;
  expression->program_bytes_ = summary.program_bytes;
  return expression;
}

const MaskFunction* MaskExpression::FindFunction(const std::string& name) const {
  const auto found =
      std::find_if(functions_.begin(), functions_.end(),
                   [&](const MaskFunction* function) { return function->info().name == name; });
  return found == functions_.end() ? nullptr : *found;
}

}  // namespace attn
