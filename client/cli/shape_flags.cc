#include "client/cli/shape_flags.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/parse_values.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "kernels/core/tensor_pattern.h"

namespace attn::cli {
namespace {

// [B, heads, tokens, dim] laid out in the pattern of `name`.
absl::StatusOr<TensorSpec> LayOut(const std::string& name, DType dtype, const LayoutFlags& layout,
                                  bool packed, std::vector<int64_t> dims) {
  TensorPattern pattern = TensorPattern::Default(packed);
  if (const std::string& text = layout.PatternOf(name); !text.empty()) {
    ATTN_ASSIGN_OR_RETURN(pattern, TensorPattern::Parse(text));
  }
  if (pattern.packed() && dims[0] != 1) {
    return absl::InvalidArgumentError(absl::StrCat("--shape: batch ", dims[0], "; pattern ",
                                                   Quoted(pattern.text()),
                                                   " has no batch axis, allowed: 1"));
  }
  return TensorSpec{.name = name,
                    .dtype = dtype,
                    .shape = pattern.ShapeOf(dims[0], dims[1], dims[2], dims[3]).shape,
                    .pattern = pattern.text(),
                    .heads = dims[1]};
}

absl::StatusOr<std::vector<TensorSpec>> FromCommonShape(const ShapeFlags& flags,
                                                        const LayoutFlags& layout, DType dtype,
                                                        bool packed) {
  ATTN_ASSIGN_OR_RETURN(const std::vector<int64_t> dims, ParseShape("--shape", flags.shape));
  if (dims.size() != 4) {
    return absl::InvalidArgumentError(absl::StrCat("--shape: ", Quoted(flags.shape), " has ",
                                                   dims.size(), " sizes; allowed: BxHxSxD"));
  }
  const int64_t batch = dims[0], heads = dims[1], query_len = dims[2], head_dim = dims[3];
  if (layout.heads != 0 && layout.heads != heads) {
    return absl::InvalidArgumentError(absl::StrCat("--heads: ", layout.heads, ", but --shape ",
                                                   Quoted(flags.shape), " has ", heads));
  }
  const int64_t kv_heads = layout.kv_heads != 0 ? layout.kv_heads : heads;
  const int64_t key_len = flags.key_len != 0 ? flags.key_len : query_len;
  const int64_t value_dim = flags.value_dim != 0 ? flags.value_dim : head_dim;
  std::vector<TensorSpec> specs;
  const auto add = [&](const char* name, std::vector<int64_t> sizes) -> absl::Status {
    ATTN_ASSIGN_OR_RETURN(TensorSpec spec, LayOut(name, dtype, layout, packed, std::move(sizes)));
    specs.push_back(std::move(spec));
    return absl::OkStatus();
  };
  ATTN_RETURN_IF_ERROR(add("q", {batch, heads, query_len, head_dim}));
  ATTN_RETURN_IF_ERROR(add("k", {batch, kv_heads, key_len, head_dim}));
  ATTN_RETURN_IF_ERROR(add("v", {batch, kv_heads, key_len, value_dim}));
  return specs;
}

absl::StatusOr<std::vector<TensorSpec>> FromOwnShapes(const ShapeFlags& flags,
                                                      const LayoutFlags& layout, DType dtype) {
  std::vector<TensorSpec> specs;
  for (const auto& [name, text] :
       {std::pair<std::string, const std::string&>("q", flags.q_shape),
        std::pair<std::string, const std::string&>("k", flags.k_shape),
        std::pair<std::string, const std::string&>("v", flags.v_shape)}) {
    ATTN_ASSIGN_OR_RETURN(std::vector<int64_t> shape,
                          ParseShape(absl::StrCat("--", name, "_shape"), text));
    specs.push_back({.name = name,
                     .dtype = dtype,
                     .shape = std::move(shape),
                     .pattern = layout.PatternOf(name),
                     .heads = layout.HeadsOf(name)});
  }
  return specs;
}

}  // namespace

void AddShapeFlags(CLI::App& command, ShapeFlags& flags) {
  CLI::Option_group& group = *command.add_option_group("Shape");
  CLI::Option* shape =
      group.add_option("--shape", flags.shape, "Batch, heads, tokens and head size of q, k and v")
          ->type_name("BxHxSxD");
  group.add_option("--sk", flags.key_len, "Keys, where not as many as queries")
      ->check(CLI::PositiveNumber)
      ->needs(shape);
  group.add_option("--dv", flags.value_dim, "Head size of v, where not that of q and k")
      ->check(CLI::PositiveNumber)
      ->needs(shape);
  CLI::Option* q_shape =
      group.add_option("--q_shape", flags.q_shape, "Or: q as it lies, in its pattern")
          ->type_name("NxNx...")
          ->excludes(shape);
  CLI::Option* k_shape =
      group.add_option("--k_shape", flags.k_shape, "and k")->type_name("NxNx...")->needs(q_shape);
  CLI::Option* v_shape =
      group.add_option("--v_shape", flags.v_shape, "and v")->type_name("NxNx...")->needs(q_shape);
  q_shape->needs(k_shape)->needs(v_shape);
  group.add_option("--dtype", flags.dtype, "fp32, fp16 or bf16; default: bf16")->type_name("DTYPE");
}

absl::StatusOr<std::vector<TensorSpec>> MakeTensorSpecs(const ShapeFlags& flags,
                                                        const LayoutFlags& layout, bool packed) {
  ATTN_ASSIGN_OR_RETURN(const DType dtype, ParseDType("--dtype", flags.dtype));
  if (!flags.shape.empty()) return FromCommonShape(flags, layout, dtype, packed);
  return FromOwnShapes(flags, layout, dtype);
}

}  // namespace attn::cli
