// MaskProgram::Bind: the expression lowered to the nodes of the program, its tensors' contents
// checked on the way.
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/core/limits.h"
#include "kernels/core/mask_block_lists.h"
#include "kernels/core/mask_program.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

class Binder {
 public:
  Binder(const MaskExpression& expression, const TensorMap& tensors)
      : expression_(expression), tensors_(tensors) {}

  absl::StatusOr<ProgramNode> Bind(const std::string& path, const MaskNode& node) const {
    return std::visit([&](const auto& op) { return Lower(path, node, op); }, node.op);
  }

 private:
  using Lowered = absl::StatusOr<ProgramNode>;
  using Path = std::string;
  template <typename Op>
  static Lowered Node(Op op) {
    return ProgramNode{std::move(op)};
  }

  Lowered Lower(const Path&, const MaskNode&, const mask_op::Causal&) const {
    return Node(program_op::Band{.to = 0});
  }
  Lowered Lower(const Path&, const MaskNode&, const mask_op::Bidirectional&) const {
    return Node(program_op::QueryAtLeastZero{});
  }
  Lowered Lower(const Path& path, const MaskNode&, const mask_op::SlidingWindow& op) const {
    program_op::Band band{.from = 1 - op.window};
    ATTN_ASSIGN_OR_RETURN(band.per_head_from, Windows(path, op.per_head));
    for (int64_t& window : band.per_head_from) window = 1 - window;
    return Node(std::move(band));
  }
  Lowered Lower(const Path& path, const MaskNode&, const mask_op::BidirectionalWindow& op) const {
    program_op::Band band{.from = -op.window, .to = op.window};
    ATTN_ASSIGN_OR_RETURN(band.per_head_to, Windows(path, op.per_head));
    for (const int64_t window : band.per_head_to) band.per_head_from.push_back(-window);
    return Node(std::move(band));
  }
  Lowered Lower(const Path& path, const MaskNode&, const mask_op::Chunked& op) const {
    program_op::SameChunk chunks{.chunk = op.chunk, .start = {0}};
    if (!op.left_padding.empty()) {
      ATTN_ASSIGN_OR_RETURN(chunks.start,
                            Values(path, "left_padding", op.left_padding, -kMaxMaskNumber));
    }
    return Node(std::move(chunks));
  }
  Lowered Lower(const Path&, const MaskNode&, const mask_op::Blockwise& op) const {
    return Node(program_op::SameId{Table(op.ids), true});
  }
  Lowered Lower(const Path&, const MaskNode&, const mask_op::Packed& op) const {
    return Node(program_op::SameId{Table(op.ids), false});
  }
  Lowered Lower(const Path& path, const MaskNode&, const mask_op::Padding& op) const {
    if (!op.mask.empty()) return Node(program_op::KeyFlag{Table(op.mask)});
    return Below(path, op.lengths);
  }
  Lowered Lower(const Path& path, const MaskNode&, const mask_op::Prefix& op) const {
    if (op.lengths.empty()) return Node(program_op::KeyBelow{{op.length}});
    return Below(path, op.lengths);
  }
  Lowered Lower(const Path&, const MaskNode&, const mask_op::Dense& op) const {
    const MaskExpressionSpec& spec = expression_.spec();
    return Node(program_op::Dense{Tensor(op.mask), spec.q_offset, spec.kv_offset});
  }
  Lowered Lower(const Path& path, const MaskNode&, const mask_op::Blocks& op) const {
    ATTN_ASSIGN_OR_RETURN(program_op::Blocks blocks,
                          BindBlockLists(path, op, expression_.sizes(), tensors_));
    blocks.q_begin = expression_.spec().q_offset;
    blocks.kv_begin = expression_.spec().kv_offset;
    return Node(std::move(blocks));
  }
  Lowered Lower(const Path& path, const MaskNode&, const mask_op::Function& op) const {
    const MaskFunction* function = expression_.FindFunction(op.name);
    std::vector<TensorView> views;
    for (const std::string& name : op.tensors) views.push_back(Tensor(name));
    auto bound = function->Bind(op.arguments, views);
    if (!bound.ok()) {
      return absl::Status(bound.status().code(),
                          absl::StrCat(path, ": ", op.name, ": ", bound.status().message()));
    }
    const MaskFunctionInfo& info = function->info();
    return Node(program_op::Function{*std::move(bound), info.per_sample, info.per_head});
  }
  Lowered Lower(const Path& path, const MaskNode& node, const mask_op::All&) const {
    ATTN_ASSIGN_OR_RETURN(std::vector<ProgramNode> args, Args(path, node));
    return Node(program_op::All{std::move(args)});
  }
  Lowered Lower(const Path& path, const MaskNode& node, const mask_op::Any&) const {
    ATTN_ASSIGN_OR_RETURN(std::vector<ProgramNode> args, Args(path, node));
    return Node(program_op::Any{std::move(args)});
  }
  Lowered Lower(const Path& path, const MaskNode& node, const mask_op::Not&) const {
    ATTN_ASSIGN_OR_RETURN(std::vector<ProgramNode> args, Args(path, node));
    return Node(program_op::Not{std::move(args)});
  }
  Lowered Lower(const Path& path, const MaskNode& node, const mask_op::Offset& op) const {
    ATTN_ASSIGN_OR_RETURN(std::vector<ProgramNode> args, Args(path, node));
    return Node(program_op::Offset{op.q, op.kv, std::move(args)});
  }
  Lowered Lower(const Path& path, const MaskNode& node, const mask_op::Remap& op) const {
    ATTN_RETURN_IF_ERROR(
        Values(path, "positions", op.positions, -kMaxMaskNumber, /*keep=*/false).status());
    ATTN_ASSIGN_OR_RETURN(std::vector<ProgramNode> args, Args(path, node));
    return Node(program_op::Remap{Table(op.positions), std::move(args)});
  }

  absl::StatusOr<std::vector<ProgramNode>> Args(const Path& path, const MaskNode& node) const {
    std::vector<ProgramNode> lowered;
    const std::vector<MaskNode>& args = ArgsOf(node);
    for (size_t i = 0; i < args.size(); ++i) {
      ATTN_ASSIGN_OR_RETURN(ProgramNode arg, Bind(PathOfArg(path, node, i), args[i]));
      lowered.push_back(std::move(arg));
    }
    return lowered;
  }
  absl::StatusOr<std::vector<int64_t>> Windows(const Path& path, const std::string& name) const {
    if (name.empty()) return std::vector<int64_t>();
    return Values(path, "window_per_head", name, 0);
  }
  Lowered Below(const Path& path, const std::string& lengths) const {
    ATTN_ASSIGN_OR_RETURN(std::vector<int64_t> values, Values(path, "lengths", lengths, 0));
    return Node(program_op::KeyBelow{std::move(values)});
  }

  // All values of a tensor of integers, each from `low` to kMaxMaskNumber; empty if not to be kept.
  absl::StatusOr<std::vector<int64_t>> Values(const Path& path, const char* field,
                                              const std::string& name, int64_t low,
                                              bool keep = true) const {
    const TensorView& view = Tensor(name);
    std::vector<int64_t> values;
    for (int64_t i = 0; i < view.layout.element_count(); ++i) {
      const int64_t value = LoadInteger(view.data, view.dtype, i);
      if (value < low || value > kMaxMaskNumber) {
        return absl::InvalidArgumentError(
            absl::StrCat(path, ": ", ElementText(field, name, view, i), " is ", value,
                         ", allowed: ", low, " to ", kMaxMaskNumber));
      }
      if (keep) values.push_back(value);
    }
    return values;
  }

  const TensorView& Tensor(const std::string& name) const { return tensors_.find(name)->second; }
  IndexTable Table(const std::string& name) const { return IndexTable(Tensor(name)); }

  const MaskExpression& expression_;
  const TensorMap& tensors_;
};

}  // namespace

absl::StatusOr<MaskProgram> MaskProgram::Bind(const MaskExpression& expression,
                                              const TensorMap& tensors) {
  const MaskExpressionSpec& spec = expression.spec();
  MaskProgram program;
  ATTN_ASSIGN_OR_RETURN(program.root_,
                        Binder(expression, tensors).Bind(PathOfRoot(spec.root), spec.root));
  program.q_offset_ = spec.q_offset;
  program.kv_offset_ = spec.kv_offset;
  program.sizes_ = expression.sizes();
  program.per_sample_ = expression.per_sample();
  program.per_head_ = expression.per_head();
  return program;
}

}  // namespace attn
