#include "client/cli/case_fields.h"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "client/load/stage_names.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/options.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

using attention::v1::AttendRequest;
using attention::v1::OutputGate;
using attention::v1::SkipScores;

bool IsNeutral(const OptionValue& option) {
  if (const bool* flag = std::get_if<bool>(&option.value)) return !*flag;
  if (const int64_t* count = std::get_if<int64_t>(&option.value)) return *count == 0;
  if (const double* number = std::get_if<double>(&option.value)) return *number == 0;
  if (const std::string* word = std::get_if<std::string>(&option.value)) return *word == "none";
  return false;
}

// As golden cases write them, which is not as flags and workloads do.
constexpr load::Word<OutputGate::Form> kCaseGateForms[] = {
    {"linear", OutputGate::LINEAR},
    {"sigmoid", OutputGate::SIGMOID},
    {"2*sigmoid", OutputGate::TWICE_SIGMOID}};

template <typename Form, size_t size>
absl::StatusOr<Form> FindForm(absl::string_view option, const std::string& name,
                              const load::Word<Form> (&forms)[size]) {
  if (const std::optional<Form> form = load::ValueOf(forms, name)) return *form;
  return absl::InvalidArgumentError(absl::StrCat("option ", Quoted(option), " ", Quoted(name),
                                                 " is not one of ",
                                                 absl::StrJoin(load::NamesOf(forms), ", ")));
}

// The name of the tensor that the option refers to; empty if it is absent.
absl::Status TakeTensor(absl::string_view option, CaseOptions* options, std::string* name) {
  ATTN_ASSIGN_OR_RETURN(std::optional<TensorName> tensor, options->Take<TensorName>(option));
  *name = tensor.has_value() ? std::move(tensor->name) : std::string();
  return absl::OkStatus();
}

absl::Status TakeRotary(CaseOptions* options, AttendRequest* request) {
  ATTN_ASSIGN_OR_RETURN(const std::optional<std::string> form, options->Take<std::string>("rope"));
  if (!form.has_value()) return absl::OkStatus();
  attention::v1::Rotary& rotary = *request->mutable_rotary();
  ATTN_ASSIGN_OR_RETURN(const auto found, FindForm("rope", *form, load::kRotaryForms));
  rotary.set_form(found);
  ATTN_RETURN_IF_ERROR(TakeTensor("cos", options, rotary.mutable_cos()));
  return TakeTensor("sin", options, rotary.mutable_sin());
}

absl::Status TakeReplicated(CaseOptions* options, AttendRequest* request) {
  attention::v1::ReplicatedTokens replicated;
  ATTN_RETURN_IF_ERROR(TakeTensor("replicated_q", options, replicated.mutable_q()));
  ATTN_RETURN_IF_ERROR(TakeTensor("replicated_k", options, replicated.mutable_k()));
  ATTN_RETURN_IF_ERROR(TakeTensor("replicated_v", options, replicated.mutable_v()));
  if (!replicated.q().empty() || !replicated.k().empty() || !replicated.v().empty()) {
    *request->mutable_replicated() = std::move(replicated);
  }
  return absl::OkStatus();
}

// The gate applies whether or not scores are skipped; the mode says only which skipping that is.
absl::Status TakeSkippingAndGate(CaseOptions* options, AttendRequest* request) {
  std::string gate;
  ATTN_RETURN_IF_ERROR(TakeTensor("gate_logits", options, &gate));
  if (!gate.empty()) {
    ATTN_ASSIGN_OR_RETURN(const std::optional<std::string> form,
                          options->Take<std::string>("gate_form"));
    ATTN_ASSIGN_OR_RETURN(const OutputGate::Form found,
                          FindForm("gate_form", form.value_or(""), kCaseGateForms));
    request->mutable_gate()->set_form(found);
    request->mutable_gate()->set_tensor(gate);
  }
  ATTN_ASSIGN_OR_RETURN(const std::optional<std::string> mode,
                        options->Take<std::string>("skip_scores"));
  if (!mode.has_value()) return absl::OkStatus();
  SkipScores& skip = *request->mutable_skip_scores();
  if (*mode == "gated_value" || (*mode == "per_sample" && !gate.empty())) {
    skip.set_mode(SkipScores::GATED_VALUE);
  } else if (*mode == "value" || *mode == "per_sample") {
    skip.set_mode(SkipScores::VALUE);
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("option 'skip_scores' ", Quoted(*mode),
                     " is not one of none, value, gated_value, per_sample"));
  }
  if (*mode != "per_sample") return absl::OkStatus();
  return TakeTensor("perturbation_mask", options, skip.mutable_sample_weights());
}

}  // namespace

void DropNeutralOptions(CaseOptions* options) {
  for (const char* name :
       {"softcap", "bias", "mask", "mask_expr", "sinks", "alibi_slopes", "q_offset", "kv_offset",
        "rope", "replicated_q", "replicated_k", "replicated_v", "skip_scores", "perturbation_mask",
        "gate_logits", "gate_form", "original_seq_len"}) {
    const OptionValue* option = options->Find(name);
    if (option != nullptr && IsNeutral(*option)) options->Drop(name);
  }
}

absl::Status TakeModifiers(CaseOptions* options, AttendRequest* request) {
  ATTN_ASSIGN_OR_RETURN(const std::optional<double> scale, options->TakeNumber("scale"));
  if (scale.has_value()) request->set_scale(*scale);
  attention::v1::ScoreModifiers modifiers;
  ATTN_ASSIGN_OR_RETURN(const std::optional<double> softcap, options->TakeNumber("softcap"));
  if (softcap.has_value()) modifiers.set_softcap(*softcap);
  ATTN_RETURN_IF_ERROR(TakeTensor("bias", options, modifiers.mutable_bias()));
  ATTN_RETURN_IF_ERROR(TakeTensor("alibi_slopes", options, modifiers.mutable_alibi_slopes()));
  ATTN_RETURN_IF_ERROR(TakeTensor("sinks", options, modifiers.mutable_sinks()));
  if (modifiers.ByteSizeLong() > 0) *request->mutable_modifiers() = std::move(modifiers);
  return absl::OkStatus();
}

absl::Status TakeStages(CaseOptions* options, AttendRequest* request) {
  ATTN_RETURN_IF_ERROR(TakeRotary(options, request));
  ATTN_RETURN_IF_ERROR(TakeReplicated(options, request));
  ATTN_ASSIGN_OR_RETURN(const std::optional<int64_t> length,
                        options->Take<int64_t>("original_seq_len"));
  if (length.has_value()) request->set_original_seq_len(*length);
  return TakeSkippingAndGate(options, request);
}

}  // namespace attn::cli
