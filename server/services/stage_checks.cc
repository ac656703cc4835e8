#include "server/services/stage_checks.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "server/transport/stages_conversion.h"

namespace attn {
namespace {

using Shape = std::vector<int64_t>;

// `rotary.cos 'c'`
std::string FieldText(const char* field, const InputTensor& input) {
  return absl::StrCat(field, " ", Quoted(input.name));
}

absl::Status CheckFloat(const char* field, const InputTensor& input) {
  if (IsFloat(input.dtype)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(FieldText(field, input), ": dtype ",
                                                 Name(input.dtype),
                                                 " not allowed, allowed: fp32, fp16, bf16"));
}

// `axes` says what the allowed sizes are of.
absl::Status CheckShape(const char* field, const InputTensor& input, const Shape& allowed,
                        const char* axes) {
  const std::span<const int64_t> shape = input.layout.shape();
  if (std::equal(shape.begin(), shape.end(), allowed.begin(), allowed.end())) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(FieldText(field, input), ": shape ", ShapeText(shape),
                   " not allowed, allowed: ", ShapeText(allowed), ", which is ", axes));
}

absl::Status RequireEqualLengths(const char* field, const char* queries, int64_t query_len,
                                 const char* keys, int64_t key_len) {
  if (query_len == key_len) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", queries, " has ", query_len,
                                                 " tokens and ", keys, " ", key_len,
                                                 ", allowed: as many"));
}

absl::Status CheckTrimming(AttentionProblem* problem) {
  CallStages& stages = problem->stages;
  if (stages.original_seq_len == 0) return absl::OkStatus();
  ATTN_RETURN_IF_ERROR(
      RequireEqualLengths("original_seq_len", "q", problem->query_len, "k", problem->key_len));
  if (stages.original_seq_len < 0 || stages.original_seq_len > problem->query_len) {
    return absl::InvalidArgumentError(
        absl::StrCat("original_seq_len: ", stages.original_seq_len, " not allowed, allowed: 1 to ",
                     problem->query_len, ", the tokens of q, or 0 for all of them"));
  }
  stages.trimmed = stages.original_seq_len < problem->query_len;
  return absl::OkStatus();
}

absl::Status CheckReplicated(const std::vector<InputTensor>& inputs, bool packed,
                             AttentionProblem* problem) {
  ReplicatedTokens& replicated = problem->stages.replicated;
  if (replicated.q.empty()) return absl::OkStatus();
  if (packed) {
    return absl::InvalidArgumentError(
        "replicated: not allowed with mask.cu_seqlens_q and _k, allowed: with a batch axis");
  }
  const InputTensor& q = FindTensor(inputs, replicated.q);
  const InputTensor& k = FindTensor(inputs, replicated.k);
  const InputTensor& v = FindTensor(inputs, replicated.v);
  replicated.query_len = q.layout.dims[2];
  replicated.key_len = k.layout.dims[2];
  const struct {
    const char* field;
    const InputTensor& input;
    Shape allowed;
    const char* axes;
  } parts[] = {
      {"replicated.q",
       q,
       {problem->batch, problem->heads, replicated.query_len, problem->head_dim},
       "[b, h, s, d] with b, h and d of q"},
      {"replicated.k",
       k,
       {problem->batch, problem->kv_heads, replicated.key_len, problem->head_dim},
       "[b, h, s, d] with b, h and d of k"},
      {"replicated.v",
       v,
       {problem->batch, problem->kv_heads, replicated.key_len, problem->value_dim},
       "[b, h, s, d] with b, h and d of v and s of replicated.k"},
  };
  for (const auto& part : parts) {
    if (part.input.dtype != problem->dtype) {
      return absl::InvalidArgumentError(absl::StrCat(FieldText(part.field, part.input), ": dtype ",
                                                     Name(part.input.dtype), " differs from q's ",
                                                     Name(problem->dtype)));
    }
    ATTN_RETURN_IF_ERROR(CheckShape(part.field, part.input, part.allowed, part.axes));
  }
  return absl::OkStatus();
}

// Rows of the tables: one a position, up to the last token's.
absl::Status CheckPositions(const char* what, int64_t offset, int64_t tokens, int64_t rows,
                            const char* offset_field) {
  if (offset + tokens <= rows) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("rotary.cos has ", rows, " rows, allowed: ", offset + tokens, " or more, ",
                   offset_field, " ", offset, " and the ", tokens, " tokens of ", what));
}

// `query_len` and `key_len`: of the tokens that are rotated.
absl::Status CheckRotary(const std::vector<InputTensor>& inputs, int64_t query_len, int64_t key_len,
                         const AttentionProblem& problem) {
  const Rotary& rotary = problem.stages.rotary;
  if (rotary.form == RotaryForm::kNone) return absl::OkStatus();
  if (problem.head_dim % 2 != 0) {
    return absl::InvalidArgumentError(absl::StrCat("rotary: the head size of q and k is ",
                                                   problem.head_dim, ", allowed: even ones"));
  }
  const InputTensor& cos = FindTensor(inputs, rotary.cos);
  const InputTensor& sin = FindTensor(inputs, rotary.sin);
  ATTN_RETURN_IF_ERROR(CheckFloat("rotary.cos", cos));
  ATTN_RETURN_IF_ERROR(CheckFloat("rotary.sin", sin));
  const std::span<const int64_t> shape = cos.layout.shape();
  const bool full = rotary.form == RotaryForm::kFull;
  const int64_t columns = full ? problem.head_dim : problem.head_dim / 2;
  const bool samples_fit = shape.size() < 3 || shape[0] == 1 || shape[0] == problem.batch;
  if ((shape.size() != 2 && shape.size() != 3) || !samples_fit || shape.back() != columns) {
    return absl::InvalidArgumentError(absl::StrCat(
        FieldText("rotary.cos", cos), ": shape ", ShapeText(shape), " not allowed, allowed: [L, ",
        columns, "] or [", problem.batch == 1 ? "1" : absl::StrCat(problem.batch, " or 1"), ", L, ",
        columns, "], ",
        full ? "a column an element of a head" : "a column a pair of elements of a head"));
  }
  ATTN_RETURN_IF_ERROR(
      CheckShape("rotary.sin", sin, {shape.begin(), shape.end()}, "that of rotary.cos"));
  const int64_t rows = shape[shape.size() - 2];
  ATTN_RETURN_IF_ERROR(CheckPositions("q", rotary.q_offset, query_len, rows, "rotary.q_offset"));
  return CheckPositions("k", rotary.k_offset, key_len, rows, "rotary.k_offset");
}

// Before trimming: lengths are those of q, k and v as sent.
absl::Status CheckSkip(const std::vector<InputTensor>& inputs, const AttentionProblem& problem) {
  const SkipScores& skip = problem.stages.skip_scores;
  if (skip.mode == SkipMode::kNone) return absl::OkStatus();
  ATTN_RETURN_IF_ERROR(
      RequireEqualLengths("skip_scores", "q", problem.query_len, "k", problem.key_len));
  const ReplicatedTokens& replicated = problem.stages.replicated;
  ATTN_RETURN_IF_ERROR(RequireEqualLengths("skip_scores", "replicated.q", replicated.query_len,
                                           "replicated.k", replicated.key_len));
  const bool gated = problem.stages.gate.form != GateForm::kNone;
  if (gated != (skip.mode == SkipMode::kGatedValue)) {
    return absl::InvalidArgumentError(
        gated ? "skip_scores.mode: VALUE with a gate, allowed: GATED_VALUE (2), or no gate"
              : "skip_scores.mode: GATED_VALUE without a gate, which is required");
  }
  ATTN_RETURN_IF_ERROR(CheckSkippedOutputs(problem));
  if (skip.sample_weights.empty()) return absl::OkStatus();
  const InputTensor& weights = FindTensor(inputs, skip.sample_weights);
  ATTN_RETURN_IF_ERROR(CheckFloat("skip_scores.sample_weights", weights));
  return CheckShape("skip_scores.sample_weights", weights, {problem.batch}, "one a sample");
}

// Before trimming, as above.
absl::Status CheckGate(const std::vector<InputTensor>& inputs, bool packed,
                       const AttentionProblem& problem) {
  const OutputGate& gate = problem.stages.gate;
  if (gate.form == GateForm::kNone) return absl::OkStatus();
  const InputTensor& tensor = FindTensor(inputs, gate.tensor);
  ATTN_RETURN_IF_ERROR(CheckFloat("gate.tensor", tensor));
  if (packed) {
    return CheckShape("gate.tensor", tensor, {problem.query_len, problem.heads}, "[total_q, H]");
  }
  const int64_t tokens = problem.query_len + problem.stages.replicated.query_len;
  return CheckShape("gate.tensor", tensor, {problem.batch, tokens, problem.heads},
                    problem.stages.replicated.any()
                        ? "[B, Sq + replicated tokens, H], theirs behind those of q"
                        : "[B, Sq, H]");
}

}  // namespace

absl::StatusOr<CallStages> ReadStages(const attention::v1::AttendRequest& fields) {
  CallStages stages;
  if (fields.has_rotary()) {
    ATTN_ASSIGN_OR_RETURN(stages.rotary, FromProto(fields.rotary()));
  }
  if (fields.has_replicated()) {
    ATTN_ASSIGN_OR_RETURN(stages.replicated, FromProto(fields.replicated()));
  }
  stages.original_seq_len = fields.original_seq_len();
  if (fields.has_skip_scores()) {
    ATTN_ASSIGN_OR_RETURN(stages.skip_scores, FromProto(fields.skip_scores()));
  }
  if (fields.has_gate()) {
    ATTN_ASSIGN_OR_RETURN(stages.gate, FromProto(fields.gate()));
  }
  return stages;
}

absl::Status CheckStages(const std::vector<InputTensor>& inputs, bool packed,
                         AttentionProblem* problem) {
  ATTN_RETURN_IF_ERROR(CheckTrimming(problem));
  ATTN_RETURN_IF_ERROR(CheckReplicated(inputs, packed, problem));
  ATTN_RETURN_IF_ERROR(CheckSkip(inputs, *problem));
  ATTN_RETURN_IF_ERROR(CheckGate(inputs, packed, *problem));
  const CallStages& stages = problem->stages;
  const int64_t query_len = stages.trimmed ? stages.original_seq_len : problem->query_len;
  const int64_t key_len = stages.trimmed ? stages.original_seq_len : problem->key_len;
  ATTN_RETURN_IF_ERROR(CheckRotary(inputs, query_len, key_len, *problem));
  problem->query_len = query_len + stages.replicated.query_len;
  problem->key_len = key_len + stages.replicated.key_len;
  return absl::OkStatus();
}

}  // namespace attn
