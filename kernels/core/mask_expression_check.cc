#include "kernels/core/mask_expression_check.h"

#include <algorithm>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/core/ceil_divide.h"
#include "kernels/core/limits.h"
#include "kernels/core/mask_expression_reach.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// Which sizes an axis of a tensor may have.
struct Axis {
  enum Kind : uint8_t { kSamples, kHeads, kOneOr, kExactly, kUpTo, kAny };
  Kind kind;
  int64_t size = 0;

  bool Allows(int64_t dim) const {
    switch (kind) {
      case kExactly:
        return dim == size;
      case kUpTo:
        return dim >= 1 && dim <= size;
      case kAny:
        return dim >= 1;
      default:
        return dim == 1 || dim == size;
    }
  }
  std::string Text() const {
    if (kind == kAny) return "L";
    if (kind == kExactly || size == 1) return absl::StrCat(size);
    return absl::StrCat(kind == kUpTo ? "1 to " : "1 or ", size);
  }
};

enum class Elements : uint8_t { kIntegers, kBooleans };

bool Holds(Elements elements, DType dtype) {
  return elements == Elements::kIntegers
             ? dtype == DType::kInt32 || dtype == DType::kInt64
             : dtype == DType::kUint8 || dtype == DType::kInt8 || dtype == DType::kBits;
}

absl::Status Error(const std::string& path, const std::string& text) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", text));
}

absl::Status CheckBetween(const std::string& path, const char* field, int64_t value, int64_t low,
                          int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return Error(path, absl::StrCat(field, " is ", value, ", allowed: ", low, " to ", high));
}

// Recurses no deeper than the limit, whatever the tree is.
absl::Status CheckSize(const MaskNode& node, int depth, int64_t& nodes) {
  if (depth > kMaxMaskDepth) {
    return Error("mask.expression", absl::StrCat("nested deeper than the allowed ", kMaxMaskDepth));
  }
  if (++nodes > kMaxMaskNodes) {
    return Error("mask.expression",
                 absl::StrCat("has more than the allowed ", kMaxMaskNodes, " nodes"));
  }
  for (const MaskNode& arg : ArgsOf(node)) ATTN_RETURN_IF_ERROR(CheckSize(arg, depth + 1, nodes));
  return absl::OkStatus();
}

class Checker {
 public:
  Checker(const MaskSizes& sizes, const TensorMap& tensors,
          const std::vector<const MaskFunction*>& functions)
      : sizes_(sizes), tensors_(tensors), functions_(functions) {}

  absl::Status CheckNode(const std::string& path, const MaskNode& node) {
    ATTN_RETURN_IF_ERROR(std::visit([&](const auto& op) { return Check(path, op); }, node.op));
    const std::vector<MaskNode>& args = ArgsOf(node);
    for (size_t i = 0; i < args.size(); ++i) {
      ATTN_RETURN_IF_ERROR(CheckNode(PathOfArg(path, node, i), args[i]));
    }
    return absl::OkStatus();
  }

  const MaskSummary& summary() const { return summary_; }

 private:
  absl::Status Check(const std::string&, const mask_op::Causal&) { return absl::OkStatus(); }
  absl::Status Check(const std::string&, const mask_op::Bidirectional&) { return absl::OkStatus(); }
  absl::Status Check(const std::string& path, const mask_op::SlidingWindow& op) {
    return CheckWindow(path, op.window, op.per_head);
  }
  absl::Status Check(const std::string& path, const mask_op::BidirectionalWindow& op) {
    return CheckWindow(path, op.window, op.per_head);
  }
  absl::Status Check(const std::string& path, const mask_op::Chunked& op) {
    ATTN_RETURN_IF_ERROR(CheckBetween(path, "chunk", op.chunk, 1, kMaxMaskNumber));
    if (op.left_padding.empty()) return absl::OkStatus();
    return CheckTensor(path, "left_padding", op.left_padding, Elements::kIntegers, {Samples()});
  }
  absl::Status Check(const std::string& path, const mask_op::Blockwise& op) {
    return CheckTensor(path, "ids", op.ids, Elements::kIntegers, {Samples(), {Axis::kAny}});
  }
  absl::Status Check(const std::string& path, const mask_op::Packed& op) {
    return CheckTensor(path, "ids", op.ids, Elements::kIntegers, {Samples(), {Axis::kAny}});
  }
  absl::Status Check(const std::string& path, const mask_op::Padding& op) {
    if (op.mask.empty() == op.lengths.empty()) {
      return Error(path, absl::StrCat(op.mask.empty() ? "neither mask nor" : "both mask and",
                                      " lengths given, allowed: one of them"));
    }
    if (!op.lengths.empty()) return CheckLengths(path, op.lengths);
    return CheckTensor(path, "mask", op.mask, Elements::kBooleans, {Samples(), {Axis::kAny}});
  }
  absl::Status Check(const std::string& path, const mask_op::Prefix& op) {
    ATTN_RETURN_IF_ERROR(CheckBetween(path, "length", op.length, 0, kMaxMaskNumber));
    if (op.lengths.empty()) return absl::OkStatus();
    if (op.length != 0) return Error(path, "both length and lengths given, allowed: one of them");
    return CheckLengths(path, op.lengths);
  }
  absl::Status Check(const std::string& path, const mask_op::Dense& op) {
    return CheckTensor(
        path, "mask", op.mask, Elements::kBooleans,
        {Samples(), Heads(), {Axis::kOneOr, sizes_.query_len}, {Axis::kOneOr, sizes_.key_len}});
  }
  absl::Status Check(const std::string& path, const mask_op::Blocks& op);
  absl::Status Check(const std::string& path, const mask_op::Function& op);
  absl::Status Check(const std::string& path, const mask_op::All& op) {
    return op.args.empty() ? Error(path, "has no args, allowed: 1 or more") : absl::OkStatus();
  }
  absl::Status Check(const std::string& path, const mask_op::Any& op) {
    return op.args.empty() ? Error(path, "has no args, allowed: 1 or more") : absl::OkStatus();
  }
  absl::Status Check(const std::string& path, const mask_op::Not& op) {
    return CheckOneArg(path, op.arg);
  }
  absl::Status Check(const std::string& path, const mask_op::Offset& op) {
    ATTN_RETURN_IF_ERROR(CheckBetween(path, "q", op.q, -kMaxMaskNumber, kMaxMaskNumber));
    ATTN_RETURN_IF_ERROR(CheckBetween(path, "kv", op.kv, -kMaxMaskNumber, kMaxMaskNumber));
    return CheckOneArg(path, op.arg);
  }
  absl::Status Check(const std::string& path, const mask_op::Remap& op) {
    ATTN_RETURN_IF_ERROR(CheckTensor(path, "positions", op.positions, Elements::kIntegers,
                                     {Samples(), {Axis::kAny}}));
    return CheckOneArg(path, op.arg);
  }

  absl::Status CheckOneArg(const std::string& path, const std::vector<MaskNode>& arg) {
    if (arg.size() == 1) return absl::OkStatus();
    return Error(path, absl::StrCat("has ", arg.size(), " args, allowed: 1"));
  }
  absl::Status CheckWindow(const std::string& path, int64_t window, const std::string& per_head) {
    ATTN_RETURN_IF_ERROR(CheckBetween(path, "window", window, 0, kMaxMaskNumber));
    if (per_head.empty()) return absl::OkStatus();
    if (window != 0) {
      return Error(path, "both window and window_per_head given, allowed: one of them");
    }
    summary_.per_head = summary_.per_head || sizes_.heads > 1;
    return CheckTensor(path, "window_per_head", per_head, Elements::kIntegers,
                       {{Axis::kExactly, sizes_.heads}});
  }
  absl::Status CheckLengths(const std::string& path, const std::string& lengths) {
    return CheckTensor(path, "lengths", lengths, Elements::kIntegers, {Samples()});
  }

  Axis Samples() const { return {Axis::kSamples, sizes_.batch}; }
  Axis Heads() const { return {Axis::kHeads, sizes_.heads}; }

  // Dtype and shape; notes whether samples or heads have values of their own.
  absl::Status CheckTensor(const std::string& path, const std::string& field,
                           const std::string& name, Elements elements,
                           const std::vector<Axis>& axes);
  absl::StatusOr<const TensorView*> Find(const std::string& path, const std::string& field,
                                         const std::string& name) const;

  const MaskSizes& sizes_;
  const TensorMap& tensors_;
  const std::vector<const MaskFunction*>& functions_;
  MaskSummary summary_;
  int64_t blocks_ = 0;  // Of all block lists so far.
};

absl::StatusOr<const TensorView*> Checker::Find(const std::string& path, const std::string& field,
                                                const std::string& name) const {
  if (name.empty()) return Error(path, absl::StrCat(field, " is required and names no tensor"));
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return &found->second;
  return Error(path, absl::StrCat(field, " ", Quoted(name), " is no tensor of the call"));
}

absl::Status Checker::CheckTensor(const std::string& path, const std::string& field,
                                  const std::string& name, Elements elements,
                                  const std::vector<Axis>& axes) {
  ATTN_ASSIGN_OR_RETURN(const TensorView* view, Find(path, field, name));
  if (!Holds(elements, view->dtype)) {
    const char* allowed = elements == Elements::kIntegers ? "int32, int64" : "uint8, int8, bits";
    return Error(path, absl::StrCat(field, " ", Quoted(name), " has dtype ", Name(view->dtype),
                                    ", allowed: ", allowed));
  }
  const std::span<const int64_t> shape = view->layout.shape();
  const bool fits = std::equal(shape.begin(), shape.end(), axes.begin(), axes.end(),
                               [](int64_t dim, const Axis& axis) { return axis.Allows(dim); });
  if (!fits) {
    const std::string allowed = absl::StrJoin(
        axes, ", ", [](std::string* out, const Axis& axis) { out->append(axis.Text()); });
    return Error(path, absl::StrCat(field, " ", Quoted(name), " has shape [",
                                    absl::StrJoin(shape, ", "), "], allowed: [", allowed, "]"));
  }
  for (size_t i = 0; i < axes.size(); ++i) {
    if (shape[i] == 1) continue;
    if (axes[i].kind == Axis::kSamples) summary_.per_sample = true;
    if (axes[i].kind == Axis::kHeads) summary_.per_head = true;
  }
  return absl::OkStatus();
}

absl::Status Checker::Check(const std::string& path, const mask_op::Blocks& op) {
  ATTN_RETURN_IF_ERROR(CheckBetween(path, "block_q", op.block_q, 1, kMaxDimension));
  ATTN_RETURN_IF_ERROR(CheckBetween(path, "block_kv", op.block_kv, 1, kMaxDimension));
  if (op.partial.size() > 1) {
    return Error(path, absl::StrCat("has ", op.partial.size(), " args, allowed: 0 or 1"));
  }
  const int64_t rows = CeilDivide(sizes_.query_len, op.block_q);
  const int64_t width = CeilDivide(sizes_.key_len, op.block_kv);
  const std::vector<Axis> counts = {Samples(), Heads(), {Axis::kExactly, rows}};
  std::vector<Axis> indices = counts;
  indices.push_back({Axis::kUpTo, width});
  if (op.full_kv_num_blocks.empty() != op.full_kv_indices.empty()) {
    return Error(path,
                 absl::StrCat(op.full_kv_indices.empty() ? "full_kv_num_blocks" : "full_kv_indices",
                              " given alone, allowed: both of full_kv_num_blocks and "
                              "full_kv_indices, or neither"));
  }
  int64_t samples = 1;
  int64_t heads = 1;
  for (const auto& [field, name, axes] : {std::tuple("kv_num_blocks", &op.kv_num_blocks, &counts),
                                          {"kv_indices", &op.kv_indices, &indices},
                                          {"full_kv_num_blocks", &op.full_kv_num_blocks, &counts},
                                          {"full_kv_indices", &op.full_kv_indices, &indices}}) {
    if (name->empty() && op.full_kv_indices.empty() && *field == 'f') continue;
    ATTN_RETURN_IF_ERROR(CheckTensor(path, field, *name, Elements::kIntegers, *axes));
    const TensorView& view = tensors_.find(*name)->second;
    samples = std::max(samples, view.dim(0));
    heads = std::max(heads, view.dim(1));
  }
  // A row of few entries stands for a bit of every block; a product that overflows is too many.
  const auto blocks = CheckedElementCount(std::vector{samples, heads, rows, width});
  const int64_t tables = op.tables();
  if (!blocks.has_value() || *blocks > (kMaxMaskBlocks - blocks_) / tables) {
    return Error(path, absl::StrCat("has ", tables == 2 ? "twice [" : "[", samples, ", ", heads,
                                    ", ", rows, ", ", width, "] blocks, allowed: ", kMaxMaskBlocks,
                                    " of all block lists together"));
  }
  blocks_ += tables * *blocks;
  summary_.program_bytes += tables * samples * heads * rows * CeilDivide(width, 64) * 8;
  return absl::OkStatus();
}

absl::Status Checker::Check(const std::string& path, const mask_op::Function& op) {
  const auto found =
      std::find_if(functions_.begin(), functions_.end(),
                   [&](const MaskFunction* function) { return function->info().name == op.name; });
  if (found == functions_.end()) {
    std::vector<std::string> known;
    for (const MaskFunction* function : functions_) known.push_back(function->info().name);
    return Error(path, UnknownNameMessage("mask function", op.name, known));
  }
  std::vector<TensorView> views;
  for (size_t i = 0; i < op.tensors.size(); ++i) {
    ATTN_ASSIGN_OR_RETURN(const TensorView* view,
                          Find(path, absl::StrCat("tensors[", i, "]"), op.tensors[i]));
    views.push_back(*view);
    views.back().data = nullptr;  // Shapes are all there is to judge yet.
  }
  if (const auto bound = (*found)->Bind(op.arguments, views); !bound.ok()) {
    return absl::Status(bound.status().code(),
                        absl::StrCat(path, ": ", op.name, ": ", bound.status().message()));
  }
  const MaskFunctionInfo& info = (*found)->info();
  summary_.per_sample = summary_.per_sample || (info.per_sample && sizes_.batch > 1);
  summary_.per_head = summary_.per_head || (info.per_head && sizes_.heads > 1);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<MaskSummary> CheckMaskExpression(const MaskExpressionSpec& spec,
                                                const MaskSizes& sizes, const TensorMap& tensors,
                                                const std::vector<const MaskFunction*>& functions) {
  int64_t nodes = 0;
  ATTN_RETURN_IF_ERROR(CheckSize(spec.root, 1, nodes));
  for (const auto& [field, offset] :
       {std::pair("q_offset", spec.q_offset), {"kv_offset", spec.kv_offset}}) {
    ATTN_RETURN_IF_ERROR(CheckBetween("mask", field, offset, -kMaxMaskNumber, kMaxMaskNumber));
  }
  Checker checker(sizes, tensors, functions);
  ATTN_RETURN_IF_ERROR(checker.CheckNode(PathOfRoot(spec.root), spec.root));
  ATTN_RETURN_IF_ERROR(CheckMaskReach(spec, sizes, tensors));
  return checker.summary();
}

}  // namespace attn
