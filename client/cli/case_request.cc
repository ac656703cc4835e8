#include "client/cli/case_request.h"

#include <cstdint>
#include <iterator>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/case_fields.h"
#include "client/cli/case_options.h"
#include "client/cli/case_tensors.h"
#include "kernels/core/status_macros.h"
#include "server/transport/proto_conversion.h"

namespace attn::cli {
namespace {

absl::Status TakeMetadata(const GoldenCase& golden_case, CaseOptions* options,
                          attention::v1::CallMetadata* metadata) {
  ATTN_ASSIGN_OR_RETURN(const std::vector<int64_t> grid, options->TakeInts("grid", 3));
  if (!grid.empty()) {
    metadata->mutable_grid()->set_t(grid[0]);
    metadata->mutable_grid()->set_h(grid[1]);
    metadata->mutable_grid()->set_w(grid[2]);
  }
  ATTN_ASSIGN_OR_RETURN(const std::optional<int64_t> timestep, options->Take<int64_t>("timestep"));
  if (timestep.has_value()) metadata->set_timestep(*timestep);
  ATTN_ASSIGN_OR_RETURN(const std::optional<int64_t> layer, options->Take<int64_t>("layer"));
  if (layer.has_value()) metadata->set_layer(*layer);
  // `text_length` and `text_tokens` (sta, where only text_length of them are valid) are options of
  // methods and stay so; how many text tokens there are is metadata as well.
  for (const char* name : {"text_tokens", "text_length"}) {
    const OptionValue* option = options->Find(name);
    if (option == nullptr || metadata->text_length() > 0) continue;
    if (const int64_t* count = std::get_if<int64_t>(&option->value)) {
      metadata->set_text_length(*count);
    }
  }
  if (golden_case.backend == "dense") options->Drop("text_length");
  return absl::OkStatus();
}

absl::StatusOr<CaseLayout> TakeLayout(const GoldenCase& golden_case, CaseOptions* options) {
  CaseLayout layout;
  ATTN_ASSIGN_OR_RETURN(const std::optional<int64_t> heads, options->Take<int64_t>("heads"));
  ATTN_ASSIGN_OR_RETURN(const std::optional<int64_t> kv_heads, options->Take<int64_t>("kv_heads"));
  layout.heads = heads.value_or(0);
  layout.kv_heads = kv_heads.value_or(layout.heads);
  constexpr const char* kPatterns[] = {"q_pattern", "k_pattern", "v_pattern"};
  for (size_t i = 0; i < std::size(kPatterns); ++i) {
    ATTN_ASSIGN_OR_RETURN(std::optional<std::string> pattern,
                          options->Take<std::string>(kPatterns[i]));
    layout.patterns[i] = std::move(pattern).value_or(golden_case.layout);
  }
  ATTN_RETURN_IF_ERROR(options->Take<std::string>("out_pattern").status());  // See OutPattern.
  return layout;
}

// Dense attention has no options of its own.
absl::Status CheckLeftOver(const GoldenCase& golden_case, const CaseOptions& options) {
  if (golden_case.backend != "dense" || options.left().empty()) return absl::OkStatus();
  const auto name = [](std::string* out, const auto& option) {
    absl::StrAppend(out, option.first);
  };
  return absl::UnimplementedError(
      absl::StrCat("this version cannot send ", absl::StrJoin(options.left(), ", ", name)));
}

}  // namespace

absl::StatusOr<CaseRequest> MakeCaseRequest(const GoldenCase& golden_case,
                                            const std::string& prefix, const OptionMap& changed,
                                            std::optional<DType> dtype, MaskForm mask_form) {
  OptionMap all = changed;
  all.insert(golden_case.options.begin(), golden_case.options.end());  // Keeps what is there.
  CaseOptions options(std::move(all));
  CaseRequest made;
  attention::v1::AttendRequest& request = made.arguments.request;
  DropNeutralOptions(&options);
  ATTN_ASSIGN_OR_RETURN(CaseMask mask, TakeMask(golden_case, prefix, mask_form, &options));
  *request.mutable_mask() = std::move(mask.mask);
  ATTN_RETURN_IF_ERROR(TakeModifiers(&options, &request));
  ATTN_RETURN_IF_ERROR(TakeStages(&options, &request));
  ATTN_RETURN_IF_ERROR(TakeMetadata(golden_case, &options, request.mutable_metadata()));
  ATTN_ASSIGN_OR_RETURN(const CaseLayout layout, TakeLayout(golden_case, &options));
  ATTN_RETURN_IF_ERROR(CheckLeftOver(golden_case, options));
  ToProto(options.left(), request.mutable_options());
  if (golden_case.backend != "dense") request.set_backend(golden_case.backend);
  request.mutable_outputs()->set_out_pattern(OutPattern(golden_case));
  ATTN_ASSIGN_OR_RETURN(CaseTensors tensors,
                        TakeTensors(golden_case, prefix, request, layout, mask.not_sent, dtype));
  made.arguments.tensors = std::move(tensors.tensors);
  made.converted = std::move(tensors.converted);
  return made;
}

std::string OutPattern(const GoldenCase& golden_case) {
  const auto found = golden_case.options.find("out_pattern");
  const std::string* pattern =
      found == golden_case.options.end() ? nullptr : std::get_if<std::string>(&found->second.value);
  return pattern != nullptr ? *pattern : golden_case.layout;
}

int SequenceAxis(absl::string_view pattern) {
  int axis = 0;
  bool joined = false;
  for (const char letter : pattern) {
    if (letter == '(') joined = true;
    if (letter == ')') joined = false;
    if (!joined && (letter == 's' || letter == 't')) return axis;
    if (!joined && letter == ' ') ++axis;
  }
  return -1;
}

}  // namespace attn::cli
