#include "kernels/core/mask_expression_reach.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// The largest position of any query and of any key. Sums of as many offsets as nest do not
// overflow.
struct Reach {
  int64_t q = 0;
  int64_t kv = 0;
};

absl::Status CheckTable(const std::string& path, const char* field, const std::string& name,
                        const Reach& reach, const TensorMap& tensors) {
  const int64_t length = tensors.find(name)->second.dim(1);
  const int64_t largest = std::max(reach.q, reach.kv);
  if (largest < length) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": ", field, " ", Quoted(name), " has ", length, " positions, allowed: at least ",
      largest + 1, ", the mask evaluates it at positions up to ", largest));
}

absl::Status CheckNode(const std::string& path, const MaskNode& node, Reach reach,
                       const TensorMap& tensors) {
  if (const auto* packed = std::get_if<mask_op::Packed>(&node.op)) {
    return CheckTable(path, "ids", packed->ids, reach, tensors);
  }
  if (const auto* remap = std::get_if<mask_op::Remap>(&node.op)) {
    return CheckTable(path, "positions", remap->positions, reach, tensors);
  }
  if (const auto* offset = std::get_if<mask_op::Offset>(&node.op)) {
    reach.q += offset->q;
    reach.kv += offset->kv;
  }
  const std::vector<MaskNode>& args = ArgsOf(node);
  for (size_t i = 0; i < args.size(); ++i) {
    ATTN_RETURN_IF_ERROR(CheckNode(PathOfArg(path, node, i), args[i], reach, tensors));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckMaskReach(const MaskExpressionSpec& spec, const MaskSizes& sizes,
                            const TensorMap& tensors) {
  const Reach reach = {spec.q_offset + sizes.query_len - 1, spec.kv_offset + sizes.key_len - 1};
  return CheckNode(PathOfRoot(spec.root), spec.root, reach, tensors);
}

}  // namespace attn
