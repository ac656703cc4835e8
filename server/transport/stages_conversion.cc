#include "server/transport/stages_conversion.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/core/limits.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

// 0 is "not given" where no value is named for it.
absl::Status BadEnum(const char* field, int value, const char* known) {
  if (value == 0)
    return absl::InvalidArgumentError(absl::StrCat(field, ": not given, known: ", known));
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": ", value, " is unknown, known: ", known));
}

absl::Status RequireName(const char* field, const std::string& name) {
  if (!name.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": not given, the name of a tensor is needed"));
}

absl::Status CheckOffset(const char* field, int64_t offset) {
  if (offset >= 0 && offset <= kMaxDimension) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": ", offset, " not allowed, allowed: 0 to ", kMaxDimension));
}

absl::StatusOr<RotaryForm> FromProto(v1::Rotary::Form form) {
  switch (form) {
    case v1::Rotary::INTERLEAVED:
      return RotaryForm::kInterleaved;
    case v1::Rotary::NEOX:
      return RotaryForm::kNeox;
    case v1::Rotary::FULL:
      return RotaryForm::kFull;
    default:
      return BadEnum("rotary.form", form, "INTERLEAVED (1), NEOX (2), FULL (3)");
  }
}

absl::StatusOr<SkipMode> FromProto(v1::SkipScores::Mode mode) {
  switch (mode) {
    case v1::SkipScores::NONE:
      return SkipMode::kNone;
    case v1::SkipScores::VALUE:
      return SkipMode::kValue;
    case v1::SkipScores::GATED_VALUE:
      return SkipMode::kGatedValue;
    default:
      return BadEnum("skip_scores.mode", mode, "NONE (0), VALUE (1), GATED_VALUE (2)");
  }
}

absl::StatusOr<GateForm> FromProto(v1::OutputGate::Form form) {
  switch (form) {
    case v1::OutputGate::LINEAR:
      return GateForm::kLinear;
    case v1::OutputGate::SIGMOID:
      return GateForm::kSigmoid;
    case v1::OutputGate::TWICE_SIGMOID:
      return GateForm::kTwiceSigmoid;
    default:
      return BadEnum("gate.form", form, "LINEAR (1), SIGMOID (2), TWICE_SIGMOID (3)");
  }
}

}  // namespace

absl::StatusOr<ScoreModifiers> FromProto(const v1::ScoreModifiers& modifiers) {
  ScoreModifiers to;
  if (modifiers.has_softcap()) {
    to.softcap = modifiers.softcap();
    ATTN_RETURN_IF_ERROR(CheckSoftcap(to.softcap));  // 0 too, which core takes for none.
  }
  to.bias = modifiers.bias();
  to.alibi_slopes = modifiers.alibi_slopes();
  to.sinks = modifiers.sinks();
  return to;
}

absl::StatusOr<Rotary> FromProto(const v1::Rotary& rotary) {
  Rotary to;
  ATTN_ASSIGN_OR_RETURN(to.form, FromProto(rotary.form()));
  ATTN_RETURN_IF_ERROR(RequireName("rotary.cos", rotary.cos()));
  ATTN_RETURN_IF_ERROR(RequireName("rotary.sin", rotary.sin()));
  ATTN_RETURN_IF_ERROR(CheckOffset("rotary.q_offset", rotary.q_offset()));
  ATTN_RETURN_IF_ERROR(CheckOffset("rotary.k_offset", rotary.k_offset()));
  to.cos = rotary.cos();
  to.sin = rotary.sin();
  to.q_offset = rotary.q_offset();
  to.k_offset = rotary.k_offset();
  return to;
}

absl::StatusOr<ReplicatedTokens> FromProto(const v1::ReplicatedTokens& replicated) {
  ATTN_RETURN_IF_ERROR(RequireName("replicated.q", replicated.q()));
  ATTN_RETURN_IF_ERROR(RequireName("replicated.k", replicated.k()));
  ATTN_RETURN_IF_ERROR(RequireName("replicated.v", replicated.v()));
  ReplicatedTokens to;
  to.q = replicated.q();
  to.k = replicated.k();
  to.v = replicated.v();
  return to;
}

absl::StatusOr<SkipScores> FromProto(const v1::SkipScores& skip) {
  SkipScores to;
  ATTN_ASSIGN_OR_RETURN(to.mode, FromProto(skip.mode()));
  if (to.mode == SkipMode::kNone && !skip.sample_weights().empty()) {
    return absl::InvalidArgumentError(
        "skip_scores.sample_weights: given with mode NONE, allowed: with VALUE (1) and "
        "GATED_VALUE (2)");
  }
  to.sample_weights = skip.sample_weights();
  return to;
}

absl::StatusOr<OutputGate> FromProto(const v1::OutputGate& gate) {
  OutputGate to;
  ATTN_ASSIGN_OR_RETURN(to.form, FromProto(gate.form()));
  ATTN_RETURN_IF_ERROR(RequireName("gate.tensor", gate.tensor()));
  to.tensor = gate.tensor();
  return to;
}

}  // namespace attn
