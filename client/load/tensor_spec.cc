#include "client/load/tensor_spec.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/core/mask.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "kernels/core/tensor_pattern.h"
#include "server/transport/proto_conversion.h"

namespace attn::load {
namespace {

// [B, H, S, D] of a tensor.
struct Sizes {
  int64_t batch;
  int64_t heads;
  int64_t tokens;
  int64_t dim;
};

absl::StatusOr<TensorSpec> LayOutOne(absl::string_view field, const std::string& name, DType dtype,
                                     const std::string& pattern_text, bool packed,
                                     const Sizes& sizes) {
  TensorPattern pattern = TensorPattern::Default(packed);
  if (!pattern_text.empty()) {
    ATTN_ASSIGN_OR_RETURN(pattern, TensorPattern::Parse(pattern_text));
  }
  if (pattern.packed() && sizes.batch != 1) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": batch ", sizes.batch, "; pattern ",
                                                   Quoted(pattern.text()),
                                                   " has no batch axis, allowed: 1"));
  }
  return TensorSpec{
      .name = name,
      .dtype = dtype,
      .shape = pattern.ShapeOf(sizes.batch, sizes.heads, sizes.tokens, sizes.dim).shape,
      .pattern = pattern.text(),
      .heads = sizes.heads};
}

const TensorSpec* Find(const std::vector<TensorSpec>& tensors, absl::string_view name) {
  for (const TensorSpec& tensor : tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

absl::StatusOr<Sizes> SizesOf(const TensorSpec& tensor, bool packed) {
  TensorPattern pattern = TensorPattern::Default(packed);
  if (!tensor.pattern.empty()) {
    ATTN_ASSIGN_OR_RETURN(pattern, TensorPattern::Parse(tensor.pattern));
  }
  ATTN_ASSIGN_OR_RETURN(const TensorLayout layout,
                        pattern.Resolve(tensor.name, tensor.shape, tensor.heads));
  return Sizes{layout.dims[0], layout.dims[1], layout.dims[2], layout.dims[3]};
}

absl::Status Disagree(const char* tensor, const char* what, int64_t size, const char* other,
                      int64_t allowed) {
  return absl::InvalidArgumentError(
      absl::StrCat(tensor, ": ", what, " ", size, "; that of ", other, " is ", allowed));
}

absl::Status CheckSizes(const Sizes& q, const Sizes& k, const Sizes& v) {
  if (k.batch != q.batch) return Disagree("k", "batch", k.batch, "q", q.batch);
  if (v.batch != q.batch) return Disagree("v", "batch", v.batch, "q", q.batch);
  if (k.dim != q.dim) return Disagree("k", "head size", k.dim, "q", q.dim);
  if (v.tokens != k.tokens) return Disagree("v", "number of tokens", v.tokens, "k", k.tokens);
  if (v.heads != k.heads) return Disagree("v", "number of heads", v.heads, "k", k.heads);
  if (k.heads < 1 || q.heads % k.heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat("k: ", k.heads, " heads; allowed: a divisor of ",
                                                   q.heads, ", the heads of q"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<TensorSpec>> LayOut(absl::string_view field, const CommonShape& common,
                                               bool packed) {
  if (common.shape.size() != 4) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, ": ", Quoted(absl::StrJoin(common.shape, "x")), " has ", common.shape.size(),
        " sizes; allowed: BxHxSxD, batch, heads, tokens and head size"));
  }
  const Sizes q = {common.shape[0], common.shape[1], common.shape[2], common.shape[3]};
  Sizes k = q;
  if (common.kv_heads != 0) k.heads = common.kv_heads;
  if (common.key_len != 0) k.tokens = common.key_len;
  Sizes v = k;
  if (common.value_dim != 0) v.dim = common.value_dim;
  std::vector<TensorSpec> specs(3);
  ATTN_ASSIGN_OR_RETURN(specs[0], LayOutOne(field, "q", common.dtype, common.q_pattern, packed, q));
  ATTN_ASSIGN_OR_RETURN(specs[1], LayOutOne(field, "k", common.dtype, common.k_pattern, packed, k));
  ATTN_ASSIGN_OR_RETURN(specs[2], LayOutOne(field, "v", common.dtype, common.v_pattern, packed, v));
  return specs;
}

absl::Status CheckTogether(const std::vector<TensorSpec>& tensors,
                           const attention::v1::AttendRequest& request) {
  std::vector<Sizes> sizes;
  ATTN_ASSIGN_OR_RETURN(MaskSpec mask, FromProto(request.mask()));
  for (const char* name : {"q", "k", "v"}) {
    const TensorSpec* tensor = Find(tensors, name);
    if (tensor == nullptr) return absl::InvalidArgumentError(absl::StrCat(name, ": missing"));
    ATTN_ASSIGN_OR_RETURN(const Sizes found, SizesOf(*tensor, mask.packed()));
    sizes.push_back(found);
  }
  const Sizes& q = sizes[0];
  ATTN_RETURN_IF_ERROR(CheckSizes(q, sizes[1], sizes[2]));
  return IntervalMask::Create(std::move(mask), q.batch, q.tokens, sizes[1].tokens).status();
}

}  // namespace attn::load
