// Shares no code with kernels/core/mask_program: attention.proto's words, element by element.
#include <cstring>
#include <string>
#include <variant>

#include "tests/support/mask_oracle.h"

namespace attn {
namespace {

struct Oracle {
  const MaskExpressionSpec& spec;
  const MaskSizes& sizes;
  const TensorMap& tensors;
  const std::vector<const MaskFunction*>& functions;
  int64_t b;
  int64_t head;

  const TensorView& Tensor(const std::string& name) const { return tensors.at(name); }

  // Of a contiguous integer or boolean tensor; axes of size 1 stand for any index.
  int64_t Element(const TensorView& view, const std::vector<int64_t>& index) const {
    int64_t at = 0;
    for (size_t axis = 0; axis < index.size(); ++axis) {
      const int64_t dim = view.layout.dims[axis];
      at = at * dim + (dim == 1 ? 0 : index[axis]);
    }
    switch (view.dtype) {
      case DType::kInt32: {
        int32_t value = 0;
        std::memcpy(&value, view.data + at * 4, 4);
        return value;
      }
      case DType::kInt64: {
        int64_t value = 0;
        std::memcpy(&value, view.data + at * 8, 8);
        return value;
      }
      case DType::kBits:
        return (static_cast<int>(view.data[at / 8]) >> (at % 8)) & 1;
      default:
        return static_cast<int>(view.data[at]) != 0;
    }
  }
  int64_t OfSample(const std::string& name) const { return Element(Tensor(name), {b}); }
  // Whether the position is one of [B, L].
  bool Inside(const std::string& name, int64_t position) const {
    return position >= 0 && position < Tensor(name).dim(1);
  }
  int64_t OfToken(const std::string& name, int64_t position) const {
    return Element(Tensor(name), {b, Tensor(name).dim(1) == 1 ? 0 : position});
  }

  static int64_t FloorDivide(int64_t a, int64_t divisor) {
    int64_t quotient = a / divisor;
    while (quotient * divisor > a) --quotient;
    return quotient;
  }

  bool Node(const MaskNode& node, int64_t q, int64_t kv) const {
    return std::visit([&](const auto& op) { return Holds(op, q, kv); }, node.op);
  }

  bool Holds(const mask_op::Causal&, int64_t q, int64_t kv) const { return kv <= q; }
  bool Holds(const mask_op::Bidirectional&, int64_t q, int64_t) const { return q >= 0; }
  int64_t WindowOf(int64_t window, const std::string& per_head) const {
    return per_head.empty() ? window : Element(Tensor(per_head), {head});
  }
  bool Holds(const mask_op::SlidingWindow& op, int64_t q, int64_t kv) const {
    return kv > q - WindowOf(op.window, op.per_head);
  }
  bool Holds(const mask_op::BidirectionalWindow& op, int64_t q, int64_t kv) const {
    return (q > kv ? q - kv : kv - q) <= WindowOf(op.window, op.per_head);
  }
  bool Holds(const mask_op::Chunked& op, int64_t q, int64_t kv) const {
    const int64_t start = op.left_padding.empty() ? 0 : OfSample(op.left_padding);
    return FloorDivide(q - start, op.chunk) == FloorDivide(kv - start, op.chunk);
  }
  bool Holds(const mask_op::Blockwise& op, int64_t q, int64_t kv) const {
    const int64_t q_id = Inside(op.ids, q) ? OfToken(op.ids, q) : -1;
    const int64_t kv_id = Inside(op.ids, kv) ? OfToken(op.ids, kv) : -1;
    return q_id == kv_id && q_id >= 0;
  }
  bool Holds(const mask_op::Packed& op, int64_t q, int64_t kv) const {
    if (!Inside(op.ids, q) || !Inside(op.ids, kv)) return false;
    return OfToken(op.ids, q) == OfToken(op.ids, kv);
  }
  bool Holds(const mask_op::Padding& op, int64_t, int64_t kv) const {
    if (op.mask.empty()) return 0 <= kv && kv < OfSample(op.lengths);
    return Inside(op.mask, kv) && OfToken(op.mask, kv) != 0;
  }
  bool Holds(const mask_op::Prefix& op, int64_t, int64_t kv) const {
    return 0 <= kv && kv < (op.lengths.empty() ? op.length : OfSample(op.lengths));
  }
  bool Holds(const mask_op::Dense& op, int64_t q, int64_t kv) const {
    const TensorView& mask = Tensor(op.mask);
    const int64_t i = q - spec.q_offset;
    const int64_t j = kv - spec.kv_offset;
    if (mask.dim(2) != 1 && (i < 0 || i >= mask.dim(2))) return false;
    if (mask.dim(3) != 1 && (j < 0 || j >= mask.dim(3))) return false;
    return Element(mask, {b, head, i, j}) != 0;
  }
  bool Listed(const std::string& counts, const std::string& indices, int64_t row,
              int64_t block) const {
    if (counts.empty()) return false;
    const int64_t count = Element(Tensor(counts), {b, head, row});
    for (int64_t entry = 0; entry < count; ++entry) {
      if (Element(Tensor(indices), {b, head, row, entry}) == block) return true;
    }
    return false;
  }
  bool Holds(const mask_op::Blocks& op, int64_t q, int64_t kv) const {
    const int64_t i = q - spec.q_offset;
    const int64_t j = kv - spec.kv_offset;
    if (i < 0 || i >= sizes.query_len || j < 0 || j >= sizes.key_len) return false;
    const int64_t row = i / op.block_q;
    const int64_t block = j / op.block_kv;
    if (Listed(op.full_kv_num_blocks, op.full_kv_indices, row, block)) return true;
    if (!Listed(op.kv_num_blocks, op.kv_indices, row, block)) return false;
    return op.partial.empty() || Node(op.partial[0], q, kv);
  }
  bool Holds(const mask_op::Function& op, int64_t q, int64_t kv) const {
    std::vector<TensorView> views;
    for (const std::string& name : op.tensors) views.push_back(Tensor(name));
    for (const MaskFunction* function : functions) {
      if (function->info().name != op.name) continue;
      uint8_t visible = 0;
      (*function->Bind(op.arguments, views))->Evaluate(b, head, q, std::span(&kv, 1), &visible);
      return visible != 0;
    }
    return false;
  }
  bool Holds(const mask_op::All& op, int64_t q, int64_t kv) const {
    for (const MaskNode& arg : op.args) {
      if (!Node(arg, q, kv)) return false;
    }
    return true;
  }
  bool Holds(const mask_op::Any& op, int64_t q, int64_t kv) const {
    for (const MaskNode& arg : op.args) {
      if (Node(arg, q, kv)) return true;
    }
    return false;
  }
  bool Holds(const mask_op::Not& op, int64_t q, int64_t kv) const {
    return !Node(op.arg[0], q, kv);
  }
  bool Holds(const mask_op::Offset& op, int64_t q, int64_t kv) const {
    return Node(op.arg[0], q + op.q, kv + op.kv);
  }
  bool Holds(const mask_op::Remap& op, int64_t q, int64_t kv) const {
    if (!Inside(op.positions, q) || !Inside(op.positions, kv)) return false;
    return Node(op.arg[0], OfToken(op.positions, q), OfToken(op.positions, kv));
  }
};

}  // namespace

bool MaskOracle(const MaskExpressionSpec& spec, const MaskSizes& sizes, const TensorMap& tensors,
                int64_t b, int64_t head, int64_t i, int64_t j,
                const std::vector<const MaskFunction*>& functions) {
  return Oracle{spec, sizes, tensors, functions, b, head}.Node(spec.root, i + spec.q_offset,
                                                               j + spec.kv_offset);
}

}  // namespace attn
