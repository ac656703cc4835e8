#include "client/cli/case_mask.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "client/golden/tensor_compare.h"
#include "client/named_tensors.h"
#include "kernels/core/mask.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "server/transport/mask_json.h"
#include "server/transport/proto_conversion.h"

namespace attn::cli {
namespace {

using attention::v1::MaskExpression;

// Takes the options of one case's mask out of `options`.
class MaskReader {
 public:
  MaskReader(const GoldenCase& golden_case, const std::string& prefix, CaseOptions* options)
      : case_(golden_case), prefix_(prefix), options_(*options) {}

  absl::StatusOr<CaseMask> Read(MaskForm form) {
    ATTN_RETURN_IF_ERROR(ReadIntervals());
    ATTN_RETURN_IF_ERROR(ReadExpression(form));
    return std::move(read_);
  }

 private:
  // What needs no expression: causal, window, lengths, packed sequences.
  absl::Status ReadIntervals() {
    MaskSpec mask;
    ATTN_ASSIGN_OR_RETURN(const std::optional<bool> causal, options_.Take<bool>("causal"));
    mask.causal = causal.value_or(false);
    ATTN_ASSIGN_OR_RETURN(const std::vector<int64_t> window, options_.TakeInts("window", 2));
    if (!window.empty()) mask.window = Window{window[0], window[1]};
    ATTN_ASSIGN_OR_RETURN(const std::optional<std::string> alignment,
                          options_.Take<std::string>("causal_alignment"));
    if (alignment.has_value() && *alignment != "TOP_LEFT" && *alignment != "BOTTOM_RIGHT") {
      return absl::InvalidArgumentError(absl::StrCat(
          "option 'causal_alignment' ", Quoted(*alignment), " is not TOP_LEFT or BOTTOM_RIGHT"));
    }
    // Cases name an alignment also where there is no diagonal to align.
    if (alignment.has_value() && (mask.causal || mask.window.has_value())) {
      mask.alignment =
          *alignment == "TOP_LEFT" ? CausalAlignment::kTopLeft : CausalAlignment::kBottomRight;
    }
    ATTN_ASSIGN_OR_RETURN(mask.q_lengths, TakeIntTensor("q_lengths"));
    ATTN_ASSIGN_OR_RETURN(mask.k_lengths, TakeIntTensor("k_lengths"));
    ATTN_ASSIGN_OR_RETURN(mask.cu_seqlens_q, TakeIntTensor("cu_seqlens_q"));
    ATTN_ASSIGN_OR_RETURN(mask.cu_seqlens_k, TakeIntTensor("cu_seqlens_k"));
    read_.mask = ToProto(mask);
    return absl::OkStatus();
  }

  absl::Status ReadExpression(MaskForm form) {
    ATTN_ASSIGN_OR_RETURN(const std::optional<std::string> json,
                          options_.Take<std::string>("mask_expr"));
    ATTN_ASSIGN_OR_RETURN(const std::optional<TensorName> dense, options_.Take<TensorName>("mask"));
    ATTN_ASSIGN_OR_RETURN(const std::optional<int64_t> q_offset,
                          options_.Take<int64_t>("q_offset"));
    ATTN_ASSIGN_OR_RETURN(const std::optional<int64_t> kv_offset,
                          options_.Take<int64_t>("kv_offset"));
    attention::v1::AttendRequest with_expression;
    if (json.has_value()) {
      MaskExpression& expression = *with_expression.mutable_mask()->mutable_expression();
      ATTN_ASSIGN_OR_RETURN(expression, ParseMaskJson(*json));
    }
    if (dense.has_value() && (form == MaskForm::kTensor || !json.has_value())) {
      // A tensor is over the tokens of the call, wherever they stand: it needs no offsets.
      read_.mask.mutable_expression()->mutable_dense()->set_mask(dense->name);
      for (std::string& name : NamedTensors(with_expression)) {
        if (name != dense->name) read_.not_sent.push_back(std::move(name));
      }
      return absl::OkStatus();
    }
    if (dense.has_value()) read_.not_sent.push_back(dense->name);
    if (json.has_value()) {
      *read_.mask.mutable_expression() =
          std::move(*with_expression.mutable_mask()->mutable_expression());
    }
    if (q_offset.has_value()) read_.mask.set_q_offset(*q_offset);
    if (kv_offset.has_value()) read_.mask.set_kv_offset(*kv_offset);
    return absl::OkStatus();
  }

  // The numbers of the integer tensor that the option names; empty if it is absent.
  absl::StatusOr<std::vector<int64_t>> TakeIntTensor(absl::string_view name) {
    ATTN_ASSIGN_OR_RETURN(const std::optional<TensorName> reference,
                          options_.Take<TensorName>(name));
    std::vector<int64_t> numbers;
    if (!reference.has_value()) return numbers;
    read_.not_sent.push_back(reference->name);
    const FileTensor* tensor = case_.Find(prefix_, reference->name);
    if (tensor == nullptr || tensor->shape.size() != 1 ||
        (tensor->dtype != DType::kInt32 && tensor->dtype != DType::kInt64)) {
      return absl::InvalidArgumentError(
          absl::StrCat("option ", Quoted(name), " is not a list of int32 or int64"));
    }
    ATTN_ASSIGN_OR_RETURN(const std::vector<double> values, ToDoubles(*tensor));
    std::transform(values.begin(), values.end(), std::back_inserter(numbers),
                   [](double value) { return static_cast<int64_t>(value); });
    return numbers;
  }

  const GoldenCase& case_;
  const std::string& prefix_;
  CaseOptions& options_;
  CaseMask read_;
};

}  // namespace

bool HasBothMaskForms(const GoldenCase& golden_case) {
  return golden_case.options.contains("mask") && golden_case.options.contains("mask_expr");
}

absl::StatusOr<CaseMask> TakeMask(const GoldenCase& golden_case, const std::string& prefix,
                                  MaskForm form, CaseOptions* options) {
  return MaskReader(golden_case, prefix, options).Read(form);
}

}  // namespace attn::cli
