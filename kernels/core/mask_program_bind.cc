// MaskProgram::Bind: the expression lowered to the nodes of the program, its tensors' contents
// checked on the way.
#include <set>
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

  absl::StatusOr<ProgramNode> Bind(const std::string& path, const MaskNode& node) {
    return std::visit([&](const auto& op) { return Lower(path, node, op); }, node.op);
  }

 private:
  using Lowered = absl::StatusOr<ProgramNode>;
  using Path = std::string;
  template <typename Op>
  static Lowered Node(Op op) {
    return ProgramNode{std::move(op)};
  }

  Lowered Lower(const Path&, const MaskNode&, const mask_op::Causal&) {
    return Node(program_op::Band{.to = 0});
  }
  Lowered Lower(const Path&, const MaskNode&, const mask_op::Bidirectional&) {
    return Node(program_op::QueryAtLeastZero{});
  }
  Lowered Lower(const Path& path, const MaskNode&, const mask_op::SlidingWindow& op) {
    ATTN_ASSIGN_OR_RETURN(const program_op::Number window, Window(path, op.window, op.per_head));
    return Node(program_op::Band{.from = 1, .wider = window});
  }
  Lowered Lower(const Path& path, const MaskNode&, const mask_op::BidirectionalWindow& op) {
    ATTN_ASSIGN_OR_RETURN(const program_op::Number window, Window(path, op.window, op.per_head));
    return Node(program_op::Band{.from = 0, .to = 0, .wider = window});
  }
  Lowered Lower(const Path& path, const MaskNode&, const mask_op::Chunked& op) {
    if (op.left_padding.empty()) return Node(program_op::SameChunk{.chunk = op.chunk});
    ATTN_RETURN_IF_ERROR(CheckValues(path, "left_padding", op.left_padding, -kMaxMaskNumber));
    return Node(program_op::SameChunk{op.chunk, {.each = Table(op.left_padding)}});
  }
  Lowered Lower(const Path&, const MaskNode&, const mask_op::Blockwise& op) {
    return Node(program_op::SameId{Table(op.ids), true});
  }
  Lowered Lower(const Path&, const MaskNode&, const mask_op::Packed& op) {
    return Node(program_op::SameId{Table(op.ids), false});
  }
  Lowered Lower(const Path& path, const MaskNode&, const mask_op::Padding& op) {
    if (!op.mask.empty()) return Node(program_op::KeyFlag{Table(op.mask)});
    return Below(path, op.lengths);
  }
  Lowered Lower(const Path& path, const MaskNode&, const mask_op::Prefix& op) {
    if (op.lengths.empty()) return Node(program_op::KeyBelow{{.shared = op.length}});
    return Below(path, op.lengths);
  }
  Lowered Lower(const Path&, const MaskNode&, const mask_op::Dense& op) {
    const MaskExpressionSpec& spec = expression_.spec();
    return Node(program_op::Dense{Tensor(op.mask), spec.q_offset, spec.kv_offset});
  }
  Lowered Lower(const Path& path, const MaskNode& node, const mask_op::Blocks& op) {
    ATTN_ASSIGN_OR_RETURN(std::vector<program_op::Blocks> tables,
                          BindBlockLists(path, op, expression_.sizes(), tensors_));
    for (program_op::Blocks& table : tables) {  // Block 0 stands at the call's first tokens.
      table.q_begin = expression_.spec().q_offset;
      table.kv_begin = expression_.spec().kv_offset;
    }
    if (op.partial.empty()) return Node(std::move(tables.front()));
    ATTN_ASSIGN_OR_RETURN(std::vector<ProgramNode> inside, Args(path, node));
    inside.insert(inside.begin(), {std::move(tables.front())});
    ProgramNode partial = {program_op::All{std::move(inside)}};
    if (tables.size() == 1) return partial;
    return Node(program_op::Any{{{std::move(tables.back())}, std::move(partial)}});
  }
  Lowered Lower(const Path& path, const MaskNode&, const mask_op::Function& op) {
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
  Lowered Lower(const Path& path, const MaskNode& node, const mask_op::All&) {
    ATTN_ASSIGN_OR_RETURN(std::vector<ProgramNode> args, Args(path, node));
    return Node(program_op::All{std::move(args)});
  }
  Lowered Lower(const Path& path, const MaskNode& node, const mask_op::Any&) {
    ATTN_ASSIGN_OR_RETURN(std::vector<ProgramNode> args, Args(path, node));
    return Node(program_op::Any{std::move(args)});
  }
  Lowered Lower(const Path& path, const MaskNode& node, const mask_op::Not&) {
    ATTN_ASSIGN_OR_RETURN(std::vector<ProgramNode> args, Args(path, node));
    return Node(program_op::Not{std::move(args)});
  }
  Lowered Lower(const Path& path, const MaskNode& node, const mask_op::Offset& op) {
    ATTN_ASSIGN_OR_RETURN(std::vector<ProgramNode> args, Args(path, node));
    return Node(program_op::Offset{op.q, op.kv, std::move(args)});
  }
  Lowered Lower(const Path& path, const MaskNode& node, const mask_op::Remap& op) {
    ATTN_RETURN_IF_ERROR(CheckValues(path, "positions", op.positions, -kMaxMaskNumber));
    ATTN_ASSIGN_OR_RETURN(std::vector<ProgramNode> args, Args(path, node));
    return Node(program_op::Remap{Table(op.positions), std::move(args)});
  }

  absl::StatusOr<std::vector<ProgramNode>> Args(const Path& path, const MaskNode& node) {
    std::vector<ProgramNode> lowered;
    const std::vector<MaskNode>& args = ArgsOf(node);
    for (size_t i = 0; i < args.size(); ++i) {
      ATTN_ASSIGN_OR_RETURN(ProgramNode arg, Bind(PathOfArg(path, node, i), args[i]));
      lowered.push_back(std::move(arg));
    }
    return lowered;
  }
  absl::StatusOr<program_op::Number> Window(const Path& path, int64_t window,
                                            const std::string& per_head) {
    if (per_head.empty()) return program_op::Number{.shared = window};
    ATTN_RETURN_IF_ERROR(CheckValues(path, "window_per_head", per_head, 0));
    return program_op::Number{.each = Table(per_head)};
  }
  Lowered Below(const Path& path, const std::string& lengths) {
    ATTN_RETURN_IF_ERROR(CheckValues(path, "lengths", lengths, 0));
    return Node(program_op::KeyBelow{{.each = Table(lengths)}});
  }

  // That all values of a tensor of integers lie from `low` to kMaxMaskNumber. Read once, however
  // many nodes name it.
  absl::Status CheckValues(const Path& path, const char* field, const std::string& name,
                           int64_t low) {
    if (!checked_.emplace(name, low).second) return absl::OkStatus();
    const TensorView& view = Tensor(name);
    for (int64_t i = 0; i < view.layout.element_count(); ++i) {
      const int64_t value = LoadInteger(view.data, view.dtype, i);
      if (value < low || value > kMaxMaskNumber) {
        return absl::InvalidArgumentError(
            absl::StrCat(path, ": ", ElementText(field, name, view, i), " is ", value,
                         ", allowed: ", low, " to ", kMaxMaskNumber));
      }
    }
    return absl::OkStatus();
  }

  const TensorView& Tensor(const std::string& name) const { return tensors_.find(name)->second; }
  IndexTable Table(const std::string& name) const { return IndexTable(Tensor(name)); }

  const MaskExpression& expression_;
  const TensorMap& tensors_;
  std::set<std::pair<std::string, int64_t>> checked_;  // Names, and from which values on.
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
