#include "client/load/tensor_spec.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/named_tensors.h"
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

// Integers that an element of the dtype may be.
ValueRange HeldBy(DType dtype) {
  constexpr double kExact = 0x1p53;  // A range is given in doubles.
  switch (dtype) {
    case DType::kInt8:
      return {INT8_MIN, INT8_MAX};
    case DType::kUint8:
      return {0, UINT8_MAX};
    case DType::kInt32:
      return {INT32_MIN, INT32_MAX};
    default:
      return {-kExact, kExact};
  }
}

absl::Status CheckNames(const std::vector<TensorSpec>& tensors,
                        const attention::v1::AttendRequest& request) {
  const std::vector<std::string> named = NamedTensors(request);
  for (const std::string& name : named) {
    if (Find(tensors, name) != nullptr) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", Quoted(name), ": named by the call, but not described"));
  }
  for (const TensorSpec& tensor : tensors) {
    const bool operand = tensor.name == "q" || tensor.name == "k" || tensor.name == "v";
    if (operand || std::find(named.begin(), named.end(), tensor.name) != named.end()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", Quoted(tensor.name), ": described, but the call names it nowhere"));
  }
  return absl::OkStatus();
}

// Tokens of the replicated tensor of that name; 0 if there is none.
absl::StatusOr<int64_t> ReplicatedTokens(const std::vector<TensorSpec>& tensors,
                                         const std::string& name) {
  if (name.empty()) return 0;
  ATTN_ASSIGN_OR_RETURN(const Sizes sizes, SizesOf(*Find(tensors, name), /*packed=*/false));
  return sizes.tokens;
}

// Lengths that the mask is over: up to the padding, with the replicated tokens.
absl::Status CheckMask(const std::vector<TensorSpec>& tensors,
                       const attention::v1::AttendRequest& request, MaskSpec mask, const Sizes& q,
                       const Sizes& k) {
  ATTN_ASSIGN_OR_RETURN(int64_t query_len, ReplicatedTokens(tensors, request.replicated().q()));
  ATTN_ASSIGN_OR_RETURN(int64_t key_len, ReplicatedTokens(tensors, request.replicated().k()));
  const int64_t original = request.original_seq_len();
  if (original < 0 || original > q.tokens) {
    return absl::InvalidArgumentError(
        absl::StrCat("original_seq_len: ", original, "; allowed: 0 to ", q.tokens, ", those of q"));
  }
  query_len += original > 0 ? original : q.tokens;
  key_len += original > 0 ? original : k.tokens;
  return IntervalMask::Create(std::move(mask), q.batch, query_len, key_len).status();
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

absl::Status CheckDrawable(const TensorSpec& tensor) {
  if (tensor.dtype == DType::kBits) {
    if (tensor.range.has_value()) {
      return absl::InvalidArgumentError("range: bits are 0 or 1; allowed: none");
    }
    if (!tensor.ascending) return absl::OkStatus();
    return absl::InvalidArgumentError("ascending: bits are drawn one by one; allowed: false");
  }
  if (!tensor.range.has_value()) {
    if (IsFloat(tensor.dtype)) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("range: missing; allowed for ",
                                                   Name(tensor.dtype), ": two integers, as 0, 1"));
  }
  const auto [min, max] = *tensor.range;
  const std::string text = absl::StrCat("range: ", min, ", ", max);
  if (!std::isfinite(min) || !std::isfinite(max) || min > max) {
    return absl::InvalidArgumentError(absl::StrCat(text, "; allowed: the smaller number first"));
  }
  if (IsFloat(tensor.dtype)) return absl::OkStatus();
  const ValueRange held = HeldBy(tensor.dtype);
  if (min == std::floor(min) && max == std::floor(max) && min >= held.min && max <= held.max) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(text, "; allowed for ", Name(tensor.dtype),
                   absl::StrFormat(": integers of %.0f to %.0f", held.min, held.max)));
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
  ATTN_RETURN_IF_ERROR(CheckNames(tensors, request));
  for (const TensorSpec& tensor : tensors) {
    const absl::Status drawable = CheckDrawable(tensor);
    if (drawable.ok()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", Quoted(tensor.name), ": ", drawable.message()));
  }
  return CheckMask(tensors, request, std::move(mask), q, sizes[1]);
}

}  // namespace attn::load
