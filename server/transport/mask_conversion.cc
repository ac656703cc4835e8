#include "server/transport/mask_conversion.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/core/limits.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

constexpr int64_t kDefaultBlock = 128;  // As torch's BlockMask.

mask_op::Blocks FromProto(const v1::MaskExpression::Blocks& from) {
  return {from.block_q() == 0 ? kDefaultBlock : from.block_q(),
          from.block_kv() == 0 ? kDefaultBlock : from.block_kv(),
          from.kv_num_blocks(),
          from.kv_indices(),
          from.full_kv_num_blocks(),
          from.full_kv_indices(),
          {}};
}

mask_op::Function FromProto(const v1::MaskExpression::Function& from) {
  return {from.name(),
          {from.arguments().begin(), from.arguments().end()},
          {from.tensors().begin(), from.tensors().end()}};
}

// A number, or the tensor that stands in its place: 0 is a value like others, not the default.
absl::Status CheckGiven(const std::string& path, const char* number, bool given, const char* name,
                        const std::string& tensor) {
  if (given || !tensor.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": neither ", number, " nor ", name, " given, allowed: one of them"));
}

absl::StatusOr<MaskNode> FromProto(const std::string& path,
                                   const v1::MaskExpression::Prefix& from) {
  ATTN_RETURN_IF_ERROR(CheckGiven(path, "length", from.has_length(), "lengths", from.lengths()));
  return MaskNode{mask_op::Prefix{from.length(), from.lengths()}};
}

// Of either window operator.
template <typename Op>
absl::StatusOr<MaskNode> FromProto(const std::string& path,
                                   const v1::MaskExpression::Window& from) {
  ATTN_RETURN_IF_ERROR(
      CheckGiven(path, "window", from.has_window(), "window_per_head", from.window_per_head()));
  return MaskNode{Op{from.window(), from.window_per_head()}};
}

// Reads one tree, counting its nodes.
class TreeReader {
 public:
  // `path` is that of the node around this one, `depth` this one's: 1 for the root.
  absl::StatusOr<MaskNode> Read(const v1::MaskExpression& from, const std::string& path,
                                int depth) {
    if (depth > kMaxMaskDepth) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": nests deeper than ", kMaxMaskDepth, " operators"));
    }
    if (++nodes_ > kMaxMaskNodes) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": more than ", kMaxMaskNodes, " operators in one mask"));
    }
    switch (from.op_case()) {
      case v1::MaskExpression::kCausal:
        return MaskNode{mask_op::Causal{}};
      case v1::MaskExpression::kBidirectional:
        return MaskNode{mask_op::Bidirectional{}};
      case v1::MaskExpression::kSlidingWindow:
        return FromProto<mask_op::SlidingWindow>(absl::StrCat(path, ".sliding_window"),
                                                 from.sliding_window());
      case v1::MaskExpression::kBidirectionalWindow:
        return FromProto<mask_op::BidirectionalWindow>(absl::StrCat(path, ".bidirectional_window"),
                                                       from.bidirectional_window());
      case v1::MaskExpression::kChunked:
        return MaskNode{mask_op::Chunked{from.chunked().chunk(), from.chunked().left_padding()}};
      case v1::MaskExpression::kBlockwise:
        return MaskNode{mask_op::Blockwise{from.blockwise().ids()}};
      case v1::MaskExpression::kPacked:
        return MaskNode{mask_op::Packed{from.packed().ids()}};
      case v1::MaskExpression::kPadding:
        return MaskNode{mask_op::Padding{from.padding().mask(), from.padding().lengths()}};
      case v1::MaskExpression::kPrefix:
        return FromProto(absl::StrCat(path, ".prefix"), from.prefix());
      case v1::MaskExpression::kDense:
        return MaskNode{mask_op::Dense{from.dense().mask()}};
      case v1::MaskExpression::kFunction:
        return MaskNode{FromProto(from.function())};
      case v1::MaskExpression::OP_NOT_SET:
        return absl::InvalidArgumentError(absl::StrCat(path, ": no operator is set"));
      default:
        return ReadInner(from, path, depth);
    }
  }

 private:
  // An operator with arguments, or with an optional one.
  absl::StatusOr<MaskNode> ReadInner(const v1::MaskExpression& from, const std::string& path,
                                     int depth) {
    MaskNode node;
    absl::Status status;
    if (from.has_all_of()) {
      mask_op::All& all = node.op.emplace<mask_op::All>();
      status = ReadList(from.all_of(), absl::StrCat(path, ".and"), depth, &all.args);
    } else if (from.has_any_of()) {
      mask_op::Any& any = node.op.emplace<mask_op::Any>();
      status = ReadList(from.any_of(), absl::StrCat(path, ".or"), depth, &any.args);
    } else if (from.has_negation()) {
      mask_op::Not& negation = node.op.emplace<mask_op::Not>();
      status = ReadArg(&from.negation(), absl::StrCat(path, ".not"), depth, &negation.arg);
    } else if (from.has_blocks()) {
      mask_op::Blocks& blocks = node.op.emplace<mask_op::Blocks>(FromProto(from.blocks()));
      if (from.blocks().has_partial()) {
        status = ReadArg(&from.blocks().partial(), absl::StrCat(path, ".blocks"), depth,
                         &blocks.partial);
      }
    } else if (from.has_offset()) {
      mask_op::Offset& offset = node.op.emplace<mask_op::Offset>();
      offset.q = from.offset().q();
      offset.kv = from.offset().kv();
      status = ReadArg(from.offset().has_arg() ? &from.offset().arg() : nullptr,
                       absl::StrCat(path, ".offset"), depth, &offset.arg);
    } else {
      mask_op::Remap& remap = node.op.emplace<mask_op::Remap>();
      remap.positions = from.remap().positions();
      status = ReadArg(from.remap().has_arg() ? &from.remap().arg() : nullptr,
                       absl::StrCat(path, ".remap"), depth, &remap.arg);
    }
    if (!status.ok()) return status;
    return node;
  }

  absl::Status ReadList(const v1::MaskExpression::List& from, const std::string& path, int depth,
                        std::vector<MaskNode>* args) {
    for (int i = 0; i < from.args_size(); ++i) {
      ATTN_ASSIGN_OR_RETURN(MaskNode arg,
                            Read(from.args(i), absl::StrCat(path, "[", i, "]"), depth + 1));
      args->push_back(std::move(arg));
    }
    return absl::OkStatus();
  }

  absl::Status ReadArg(const v1::MaskExpression* from, const std::string& path, int depth,
                       std::vector<MaskNode>* arg) {
    if (from == nullptr) return absl::InvalidArgumentError(absl::StrCat(path, ": arg is missing"));
    ATTN_ASSIGN_OR_RETURN(MaskNode node, Read(*from, path, depth + 1));
    arg->push_back(std::move(node));
    return absl::OkStatus();
  }

  int64_t nodes_ = 0;
};

}  // namespace

absl::StatusOr<MaskExpressionSpec> FromProto(const v1::MaskExpression& expression) {
  MaskExpressionSpec spec;
  ATTN_ASSIGN_OR_RETURN(spec.root, TreeReader().Read(expression, "mask.expression", /*depth=*/1));
  return spec;
}

}  // namespace attn
