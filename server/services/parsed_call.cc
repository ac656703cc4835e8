#include "server/services/parsed_call.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/core/limits.h"
#include "kernels/core/status_macros.h"
#include "server/services/stage_checks.h"
#include "server/services/tensor_uses.h"
#include "server/transport/mask_conversion.h"
#include "server/transport/proto_conversion.h"
#include "server/transport/stages_conversion.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

constexpr size_t kMaxCallerIdBytes = 128;

absl::StatusOr<MaskSpec> ReadMask(const v1::Mask& fields) {
  ATTN_ASSIGN_OR_RETURN(MaskSpec mask, FromProto(fields));
  if (mask.cu_seqlens_q.empty() != mask.cu_seqlens_k.empty()) {
    return absl::InvalidArgumentError(
        "mask.cu_seqlens_q and mask.cu_seqlens_k: one is given without the other");
  }
  return mask;
}

absl::StatusOr<std::optional<MaskExpressionSpec>> ReadExpression(const v1::Mask& fields) {
  const std::pair<const char*, int64_t> offsets[] = {{"q_offset", fields.q_offset()},
                                                     {"kv_offset", fields.kv_offset()}};
  if (!fields.has_expression()) {
    for (const auto& [name, offset] : offsets) {
      if (offset == 0) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("mask.", name, ": ", offset, " without mask.expression, which it is for"));
    }
    return std::nullopt;
  }
  ATTN_ASSIGN_OR_RETURN(MaskExpressionSpec spec, FromProto(fields.expression()));
  spec.q_offset = fields.q_offset();
  spec.kv_offset = fields.kv_offset();
  return spec;
}

// What the fields ask for, before the tensors are known.
struct Asked {
  MaskSpec mask;
  std::optional<MaskExpressionSpec> expression;
  ScoreModifiers modifiers;
  CallStages stages;
};

absl::StatusOr<Asked> ReadFields(const v1::AttendRequest& fields) {
  Asked asked;
  ATTN_ASSIGN_OR_RETURN(asked.mask, ReadMask(fields.mask()));
  ATTN_ASSIGN_OR_RETURN(asked.expression, ReadExpression(fields.mask()));
  ATTN_ASSIGN_OR_RETURN(asked.modifiers, FromProto(fields.modifiers()));
  ATTN_ASSIGN_OR_RETURN(asked.stages, ReadStages(fields));
  return asked;
}

// q, k and v first, the others behind them.
size_t Place(const InputTensor& input) {
  const size_t place = absl::string_view("qkv").find(input.name);
  return input.name.size() == 1 ? place : absl::string_view::npos;
}

bool IsPlaced(const InputTensor& input) { return Place(input) != absl::string_view::npos; }

// All that travel, in the order of ParsedCall, each named by something.
absl::StatusOr<std::vector<InputTensor>> ReadInputs(std::vector<WireTensor> tensors,
                                                    PayloadRule rule, const Asked& asked,
                                                    const OptionMap& options) {
  ATTN_ASSIGN_OR_RETURN(std::vector<InputTensor> inputs, ReadTensors(std::move(tensors), rule));
  std::vector<TensorUse> uses;
  if (asked.expression) AppendUses(asked.expression->root, &uses);
  AppendUses(asked.modifiers, &uses);
  AppendUses(asked.stages, &uses);
  AppendUses(options, &uses);
  ATTN_RETURN_IF_ERROR(CheckUses(uses, inputs));
  std::set<absl::string_view> tokens;
  for (const TensorUse& use : uses) {
    if (use.tokens) tokens.insert(use.name);
  }
  for (InputTensor& input : inputs) {
    if (!IsPlaced(input) && !tokens.contains(input.name)) continue;
    ATTN_RETURN_IF_ERROR(ApplyPattern(asked.mask.packed() && IsPlaced(input), &input));
  }
  std::stable_sort(inputs.begin(), inputs.end(),
                   [](const InputTensor& a, const InputTensor& b) { return Place(a) < Place(b); });
  return inputs;
}

// Sizes and dtypes of q, k and v, the first inputs, against each other.
absl::Status ReadSizes(const std::vector<InputTensor>& inputs, AttentionProblem* problem) {
  const auto& q = inputs[0].layout.dims;
  const auto& k = inputs[1].layout.dims;
  const auto& v = inputs[2].layout.dims;
  problem->dtype = inputs[0].dtype;
  if (!IsFloat(problem->dtype)) {
    return absl::InvalidArgumentError(absl::StrCat("tensor 'q': dtype ", Name(problem->dtype),
                                                   " not allowed, allowed: fp32, fp16, bf16"));
  }
  for (const InputTensor* other : {&inputs[1], &inputs[2]}) {
    if (other->dtype == problem->dtype) continue;
    return absl::InvalidArgumentError(absl::StrCat("tensor '", other->name, "': dtype ",
                                                   Name(other->dtype), " differs from q's ",
                                                   Name(problem->dtype)));
  }
  // Axes of [B, H, S, D] that two tensors share.
  struct Shared {
    const char* what;
    const char* left_name;
    int64_t left;
    const char* right_name;
    int64_t right;
  };
  const Shared shared[] = {
      {"batch size", "q", q[0], "k", k[0]}, {"batch size", "q", q[0], "v", v[0]},
      {"head count", "k", k[1], "v", v[1]}, {"sequence length", "k", k[2], "v", v[2]},
      {"head size", "q", q[3], "k", k[3]},
  };
  for (const Shared& axis : shared) {
    if (axis.left == axis.right) continue;
    return absl::InvalidArgumentError(absl::StrCat(axis.what, " of ", axis.left_name, " is ",
                                                   axis.left, ", of ", axis.right_name, " it is ",
                                                   axis.right, "; they must be equal"));
  }
  if (q[1] % k[1] != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("q has ", q[1], " heads and k has ", k[1],
                     "; the heads of q must be a multiple of those of k"));
  }
  problem->batch = q[0];
  problem->heads = q[1];
  problem->kv_heads = k[1];
  problem->query_len = q[2];
  problem->key_len = k[2];
  problem->head_dim = q[3];
  problem->value_dim = v[3];
  return absl::OkStatus();
}

absl::Status ReadScale(const v1::AttendRequest& fields, AttentionProblem* problem) {
  problem->scale = 1.0 / std::sqrt(static_cast<double>(problem->head_dim));
  if (!fields.has_scale()) return absl::OkStatus();
  if (!std::isfinite(fields.scale())) {
    return absl::InvalidArgumentError(
        absl::StrCat("scale: ", fields.scale(), " not allowed, allowed: finite numbers"));
  }
  problem->scale = fields.scale();
  return absl::OkStatus();
}

// The tensors that masks and modifiers may name; none has data.
TensorMap NamedTensors(const std::vector<InputTensor>& inputs) {
  TensorMap named;
  for (const InputTensor& input : inputs) {
    if (!IsPlaced(input)) named.emplace(input.name, TensorView{nullptr, input.dtype, input.layout});
  }
  return named;
}

absl::StatusOr<AttentionProblem> MakeProblem(const v1::AttendRequest& fields,
                                             const std::vector<InputTensor>& inputs, Asked asked,
                                             const std::vector<const MaskFunction*>& functions) {
  AttentionProblem problem;
  problem.modifiers = std::move(asked.modifiers);
  problem.stages = std::move(asked.stages);
  ATTN_RETURN_IF_ERROR(ReadSizes(inputs, &problem));
  ATTN_RETURN_IF_ERROR(ReadScale(fields, &problem));
  ATTN_RETURN_IF_ERROR(ReadOutputsWanted(fields.outputs(), &problem));
  ATTN_RETURN_IF_ERROR(CheckStages(inputs, asked.mask.packed(), &problem));
  ATTN_ASSIGN_OR_RETURN(problem.mask, IntervalMask::Create(std::move(asked.mask), problem.batch,
                                                           problem.query_len, problem.key_len));
  const TensorMap tensors = NamedTensors(inputs);
  if (asked.expression) {
    ATTN_ASSIGN_OR_RETURN(
        problem.expression,
        MaskExpression::Create(*std::move(asked.expression), problem.sizes(), tensors, functions));
  }
  ATTN_RETURN_IF_ERROR(CheckScoreModifiers(problem.modifiers, problem.sizes(), tensors));
  ATTN_ASSIGN_OR_RETURN(
      problem.metadata,
      FromProto(fields.metadata(), problem.query_len - problem.stages.replicated.query_len));
  return problem;
}

absl::StatusOr<SelectionRequest> ReadSelection(const v1::AttendRequest& fields) {
  if (fields.allowed_backends_size() > kMaxAllowedBackends) {
    return absl::InvalidArgumentError(
        absl::StrCat("allowed_backends: ", fields.allowed_backends_size(),
                     " names, allowed: ", kMaxAllowedBackends));
  }
  SelectionRequest selection;
  selection.backend = fields.backend();
  selection.model = fields.model();
  selection.preset = fields.preset();
  selection.scope_id = fields.scope_id();
  selection.allowed_backends = {fields.allowed_backends().begin(), fields.allowed_backends().end()};
  selection.allow_fallback = fields.allow_fallback();
  selection.allow_approximate = fields.allow_approximate();
  ATTN_ASSIGN_OR_RETURN(selection.options, FromProto(fields.options()));
  return selection;
}

absl::StatusOr<Priority> ReadPriority(v1::CallMetadata::Priority priority) {
  switch (priority) {
    case v1::CallMetadata::PRIORITY_UNSPECIFIED:
    case v1::CallMetadata::INTERACTIVE:
      return Priority::kInteractive;
    case v1::CallMetadata::BATCH:
      return Priority::kBatch;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("metadata.priority: ", static_cast<int>(priority),
                       " is unknown, known: INTERACTIVE (1), BATCH "
                       "(2)"));
  }
}

}  // namespace

absl::StatusOr<ParsedCall> ParseCall(const v1::AttendRequest& fields,
                                     std::vector<WireTensor> tensors, PayloadRule rule,
                                     const std::vector<const MaskFunction*>& functions) {
  if (const std::string field = FindUnknownField(fields); !field.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "unknown field ", field, "; the client is newer than this server, or the message garbage"));
  }
  ParsedCall call;
  ATTN_ASSIGN_OR_RETURN(call.selection, ReadSelection(fields));
  ATTN_ASSIGN_OR_RETURN(Asked asked, ReadFields(fields));
  ATTN_ASSIGN_OR_RETURN(call.inputs,
                        ReadInputs(std::move(tensors), rule, asked, call.selection.options));
  ATTN_ASSIGN_OR_RETURN(call.problem,
                        MakeProblem(fields, call.inputs, std::move(asked), functions));
  call.caller_id = fields.metadata().caller_id();
  if (call.caller_id.size() > kMaxCallerIdBytes) {
    return absl::InvalidArgumentError(absl::StrCat("metadata.caller_id: ", call.caller_id.size(),
                                                   " bytes, allowed: ", kMaxCallerIdBytes));
  }
  ATTN_ASSIGN_OR_RETURN(call.priority, ReadPriority(fields.metadata().priority()));
  ATTN_ASSIGN_OR_RETURN(call.outputs, LayOutOutputs(fields.outputs(), call.inputs, call.problem));
  return call;
}

}  // namespace attn
