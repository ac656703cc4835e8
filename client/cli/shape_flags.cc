#include "client/cli/shape_flags.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/parse_values.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

using load::TensorSpec;

absl::StatusOr<std::vector<TensorSpec>> FromCommonShape(const ShapeFlags& flags,
                                                        const LayoutFlags& layout, DType dtype,
                                                        bool packed) {
  ATTN_ASSIGN_OR_RETURN(const std::vector<int64_t> sizes, ParseShape("--shape", flags.shape));
  if (sizes.size() == 4 && layout.heads != 0 && layout.heads != sizes[1]) {
    return absl::InvalidArgumentError(absl::StrCat("--heads: ", layout.heads, ", but --shape ",
                                                   Quoted(flags.shape), " has ", sizes[1]));
  }
  return load::LayOut("--shape",
                      {.shape = sizes,
                       .kv_heads = layout.kv_heads,
                       .key_len = flags.key_len,
                       .value_dim = flags.value_dim,
                       .dtype = dtype,
                       .q_pattern = layout.PatternOf("q"),
                       .k_pattern = layout.PatternOf("k"),
                       .v_pattern = layout.PatternOf("v")},
                      packed);
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
  group
      .add_option("--tensor", flags.named,
                  "A tensor that other flags name, repeatable: bias=1x8x64x64:fp32, "
                  "ids=1x4096:int32:0..3:ascending; a range, and its order, matter to random data")
      ->type_name("NAME=SHAPE:DTYPE[:MIN..MAX[:ascending]]")
      ->allow_extra_args(false);
}

absl::StatusOr<std::vector<load::TensorSpec>> MakeTensorSpecs(
    const ShapeFlags& flags, const LayoutFlags& layout,
    const attention::v1::AttendRequest& request) {
  const attention::v1::Mask& mask = request.mask();
  const bool packed = mask.cu_seqlens_q_size() > 0 || mask.cu_seqlens_k_size() > 0;
  ATTN_ASSIGN_OR_RETURN(const DType dtype, ParseDType("--dtype", flags.dtype));
  ATTN_ASSIGN_OR_RETURN(std::vector<TensorSpec> specs,
                        flags.shape.empty() ? FromOwnShapes(flags, layout, dtype)
                                            : FromCommonShape(flags, layout, dtype, packed));
  for (const std::string& text : flags.named) {
    ATTN_ASSIGN_OR_RETURN(TensorSpec spec, ParseTensor("--tensor", text));
    const std::string operand = OperandOf(spec.name, request.replicated());
    for (const TensorSpec& like : specs) {
      if (like.name != operand) continue;
      spec.pattern = like.pattern;
      spec.heads = like.heads;
    }
    const auto same = [&spec](const TensorSpec& other) { return other.name == spec.name; };
    if (std::any_of(specs.begin(), specs.end(), same)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--tensor: ", Quoted(spec.name), " is described twice"));
    }
    specs.push_back(std::move(spec));
  }
  return specs;
}

}  // namespace attn::cli
