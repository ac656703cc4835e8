#include "client/cli/mask_flags.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/parse_values.h"
#include "client/load/text_file.h"
#include "google/protobuf/repeated_field.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "server/transport/mask_json.h"

namespace attn::cli {
namespace {

using attention::v1::Mask;

absl::Status SetIntegers(absl::string_view flag, const std::string& text,
                         google::protobuf::RepeatedField<int64_t>* to) {
  if (text.empty()) return absl::OkStatus();
  ATTN_ASSIGN_OR_RETURN(const std::vector<int64_t> numbers, ParseIntegers(flag, text));
  to->Assign(numbers.begin(), numbers.end());
  return absl::OkStatus();
}

absl::Status SetWindow(const std::string& text, Mask* mask) {
  if (text.empty()) return absl::OkStatus();
  ATTN_ASSIGN_OR_RETURN(const std::vector<int64_t> sides, ParseIntegers("--window", text));
  if (sides.size() != 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("--window: ", Quoted(text), "; allowed: LEFT,RIGHT (-1 = unbounded)"));
  }
  mask->mutable_window()->set_left(sides[0]);
  mask->mutable_window()->set_right(sides[1]);
  return absl::OkStatus();
}

absl::Status SetAlignment(const std::string& text, Mask* mask) {
  if (text == "top_left") {
    mask->set_alignment(Mask::TOP_LEFT);
  } else if (text == "bottom_right") {
    mask->set_alignment(Mask::BOTTOM_RIGHT);
  } else if (!text.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--alignment: ", Quoted(text), "; allowed: top_left, bottom_right"));
  }
  return absl::OkStatus();
}

absl::Status SetExpression(const std::string& text, Mask* mask) {
  if (text.empty()) return absl::OkStatus();
  std::string json = text;
  if (text[0] == '@') {
    ATTN_ASSIGN_OR_RETURN(json, load::ReadTextFile(text.substr(1)));
  }
  absl::StatusOr<attention::v1::MaskExpression> expression = ParseMaskJson(json);
  if (!expression.ok()) {
    return absl::Status(expression.status().code(),
                        absl::StrCat("--mask_expr: ", expression.status().message()));
  }
  *mask->mutable_expression() = *std::move(expression);
  return absl::OkStatus();
}

}  // namespace

void AddMaskFlags(CLI::App& command, MaskFlags& flags) {
  CLI::Option_group& group = *command.add_option_group("Mask");
  group.add_flag("--causal", flags.causal, "Hides keys after the diagonal");
  group
      .add_option("--alignment", flags.alignment,
                  "Diagonal of causal and window: top_left or bottom_right (default)")
      ->type_name("WHERE");
  group.add_option("--window", flags.window, "Keys before and after the diagonal, -1 = unbounded")
      ->type_name("LEFT,RIGHT");
  group.add_option("--q_lengths", flags.q_lengths, "Queries of each sample")->type_name("N,...");
  group.add_option("--k_lengths", flags.k_lengths, "Keys of each sample")->type_name("N,...");
  group.add_option("--cu_seqlens_q", flags.cu_seqlens_q, "Packed sequences: query offsets")
      ->type_name("0,N,...");
  group.add_option("--cu_seqlens_k", flags.cu_seqlens_k, "Packed sequences: key offsets")
      ->type_name("0,N,...");
  CLI::Option* expression = group.add_option(
      "--mask_expr", flags.expression,
      "Hides what the expression over positions does not allow, as well: '{\"op\": "
      "\"sliding_window\", \"window\": 9}'; it names tensors of the call; `attn mask` draws it");
  expression->type_name("JSON|@FILE");
  group.add_option("--q_offset", flags.q_offset, "Position of the first query in the expression")
      ->needs(expression);
  group.add_option("--kv_offset", flags.kv_offset, "Position of the first key in the expression")
      ->needs(expression);
}

absl::Status Apply(const MaskFlags& flags, attention::v1::AttendRequest* request) {
  Mask& mask = *request->mutable_mask();
  if (flags.causal) mask.set_causal(true);
  ATTN_RETURN_IF_ERROR(SetAlignment(flags.alignment, &mask));
  ATTN_RETURN_IF_ERROR(SetWindow(flags.window, &mask));
  ATTN_RETURN_IF_ERROR(SetIntegers("--q_lengths", flags.q_lengths, mask.mutable_q_lengths()));
  ATTN_RETURN_IF_ERROR(SetIntegers("--k_lengths", flags.k_lengths, mask.mutable_k_lengths()));
  ATTN_RETURN_IF_ERROR(
      SetIntegers("--cu_seqlens_q", flags.cu_seqlens_q, mask.mutable_cu_seqlens_q()));
  ATTN_RETURN_IF_ERROR(
      SetIntegers("--cu_seqlens_k", flags.cu_seqlens_k, mask.mutable_cu_seqlens_k()));
  if (flags.q_offset.has_value()) mask.set_q_offset(*flags.q_offset);
  if (flags.kv_offset.has_value()) mask.set_kv_offset(*flags.kv_offset);
  return SetExpression(flags.expression, &mask);
}

}  // namespace attn::cli
