#include "server/services/parsed_call.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "kernels/core/limits.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "kernels/core/tensor_pattern.h"
#include "server/transport/proto_conversion.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

constexpr size_t kMaxCallerIdBytes = 128;

absl::Status Invalid(const std::string& message) { return absl::InvalidArgumentError(message); }

std::string ShapeText(std::span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

// A tensor with its size checked, its pattern not yet applied.
absl::StatusOr<InputTensor> ReadTensor(WireTensor& tensor, PayloadRule rule) {
  const v1::Tensor& header = tensor.header;
  if (header.name().empty()) return Invalid("tensors: a tensor without a name");
  const std::string name = Quoted(header.name());
  if (const std::string field = FindUnknownField(header); !field.empty()) {
    return Invalid(absl::StrCat("tensor ", name, ": unknown field ", field,
                                "; the client is newer than this server"));
  }
  InputTensor input;
  input.name = header.name();
  ATTN_ASSIGN_OR_RETURN(input.dtype, FromProto(absl::StrCat("tensor ", name), header.dtype()));
  const std::span<const int64_t> shape(header.shape().data(),
                                       static_cast<size_t>(header.shape_size()));
  if (shape.empty() || shape.size() > kMaxRank) {
    return Invalid(absl::StrCat("tensor ", name, ": shape ", ShapeText(shape).substr(0, 200),
                                " has rank ", shape.size(), ", allowed: 1 to ", kMaxRank));
  }
  for (const int64_t size : shape) {
    if (size < 1 || size > kMaxDimension) {
      return Invalid(absl::StrCat("tensor ", name, ": shape ", ShapeText(shape),
                                  " has a dimension of ", size, ", allowed: 1 to ", kMaxDimension));
    }
  }
  const std::optional<int64_t> count = CheckedElementCount(shape);
  if (!count || *count > kMaxTensorElements) {
    return Invalid(absl::StrCat("tensor ", name, ": shape ", ShapeText(shape),
                                " has too many elements, allowed: ", kMaxTensorElements));
  }
  input.bytes = ByteSize(input.dtype, *count);
  const bool absent = rule == PayloadRule::kOptional && tensor.payload_bytes == 0;
  if (!absent && tensor.payload_bytes != input.bytes) {
    return Invalid(absl::StrCat("tensor ", name, ": data has ", tensor.payload_bytes,
                                " bytes, but shape ", ShapeText(shape), " of ", Name(input.dtype),
                                " needs ", input.bytes));
  }
  input.layout = TensorLayout::Contiguous(shape);
  input.payload = std::move(tensor.payload);
  return input;
}

// Applies the pattern of q, k or v.
absl::Status ApplyPattern(const v1::Tensor& header, bool packed, InputTensor* input) {
  TensorPattern pattern = TensorPattern::Default(packed);
  if (!header.pattern().empty()) {
    absl::StatusOr<TensorPattern> parsed = TensorPattern::Parse(header.pattern());
    if (!parsed.ok()) {
      return Invalid(absl::StrCat("tensor '", input->name, "': ", parsed.status().message()));
    }
    pattern = *std::move(parsed);
  }
  if (pattern.packed() != packed) {
    return Invalid(absl::StrCat(
        "tensor '", input->name, "': pattern '", pattern.text(), "' ",
        packed ? "has a batch axis, but mask.cu_seqlens_q and _k pack the sequences; use `t h d`"
               : "is packed, but the mask has no cu_seqlens_q and cu_seqlens_k"));
  }
  const std::span<const int64_t> shape(header.shape().data(),
                                       static_cast<size_t>(header.shape_size()));
  ATTN_ASSIGN_OR_RETURN(input->layout, pattern.Resolve(absl::StrCat("tensor '", input->name, "'"),
                                                       shape, header.heads()));
  return absl::OkStatus();
}

struct Named {
  InputTensor* q = nullptr;
  InputTensor* k = nullptr;
  InputTensor* v = nullptr;
};

// Sizes and dtypes of q, k and v against each other.
absl::Status ReadSizes(const Named& named, AttentionProblem* problem) {
  const auto& q = named.q->layout.dims;
  const auto& k = named.k->layout.dims;
  const auto& v = named.v->layout.dims;
  if (!IsFloat(named.q->dtype)) {
    return Invalid(absl::StrCat("tensor 'q': dtype ", Name(named.q->dtype),
                                " not allowed, allowed: fp32, fp16, bf16"));
  }
  for (const InputTensor* other : {named.k, named.v}) {
    if (other->dtype != named.q->dtype) {
      return Invalid(absl::StrCat("tensor '", other->name, "': dtype ", Name(other->dtype),
                                  " differs from q's ", Name(named.q->dtype)));
    }
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
    if (axis.left != axis.right) {
      return Invalid(absl::StrCat(axis.what, " of ", axis.left_name, " is ", axis.left, ", of ",
                                  axis.right_name, " it is ", axis.right, "; they must be equal"));
    }
  }
  if (q[1] % k[1] != 0) {
    return Invalid(absl::StrCat("q has ", q[1], " heads and k has ", k[1],
                                "; the heads of q must be a multiple of those of k"));
  }
  problem->batch = q[0];
  problem->heads = q[1];
  problem->kv_heads = k[1];
  problem->query_len = q[2];
  problem->key_len = k[2];
  problem->head_dim = q[3];
  problem->value_dim = v[3];
  problem->dtype = named.q->dtype;
  return absl::OkStatus();
}

absl::Status ReadScale(const v1::AttendRequest& fields, AttentionProblem* problem) {
  problem->scale = 1.0 / std::sqrt(static_cast<double>(problem->head_dim));
  if (!fields.has_scale()) return absl::OkStatus();
  if (!std::isfinite(fields.scale())) {
    return Invalid(
        absl::StrCat("scale: ", fields.scale(), " not allowed, allowed: finite numbers"));
  }
  problem->scale = fields.scale();
  return absl::OkStatus();
}

absl::Status ReadOutputsWanted(const v1::Outputs& outputs, AttentionProblem* problem) {
  problem->wanted.lse = outputs.lse();
  problem->wanted.weights = outputs.weights();
  problem->wanted.plan = outputs.plan();
  const std::pair<const char*, int64_t> blocks[] = {{"plan_block_q", outputs.plan_block_q()},
                                                    {"plan_block_k", outputs.plan_block_k()}};
  for (const auto& [name, size] : blocks) {
    if (size != 0 && !outputs.plan()) {
      return Invalid(absl::StrCat("outputs.", name, ": given without outputs.plan"));
    }
    if (size < 0 || size > kMaxBlock) {
      return Invalid(absl::StrCat("outputs.", name, ": ", size, " not allowed, allowed: ",
                                  kMinBlock, " to ", kMaxBlock, ", or 0 for the default"));
    }
  }
  problem->wanted.plan_block_q = outputs.plan_block_q();
  problem->wanted.plan_block_k = outputs.plan_block_k();
  problem->out_dtype = problem->dtype;
  if (outputs.out_dtype() != v1::DATA_TYPE_UNSPECIFIED) {
    ATTN_ASSIGN_OR_RETURN(problem->out_dtype, FromProto("outputs.out_dtype", outputs.out_dtype()));
    if (!IsFloat(problem->out_dtype)) {
      return Invalid(absl::StrCat("outputs.out_dtype: ", Name(problem->out_dtype),
                                  " not allowed, allowed: fp32, fp16, bf16"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<OutputTensor> MakeOutput(std::string name, DType dtype, std::vector<int64_t> shape,
                                        TensorLayout layout) {
  const std::optional<int64_t> count = CheckedElementCount(shape);
  if (!count || *count > kMaxTensorElements) {
    return Invalid(absl::StrCat("output '", name, "' would have shape ", ShapeText(shape),
                                ": too many elements, allowed: ", kMaxTensorElements));
  }
  OutputTensor output;
  output.name = std::move(name);
  output.dtype = dtype;
  output.shape = std::move(shape);
  output.layout = layout;
  output.bytes = ByteSize(dtype, *count);
  return output;
}

// `out` in the pattern asked for (default q's), `lse` and `weights` in their fixed shapes.
absl::Status LayOutOutputs(const v1::AttendRequest& fields, const v1::Tensor& q_header,
                           ParsedCall* call) {
  const AttentionProblem& problem = call->problem;
  const bool packed = problem.mask.spec().packed();
  TensorPattern pattern = TensorPattern::Default(packed);
  const std::string& asked = fields.outputs().out_pattern();
  const std::string& text = asked.empty() ? q_header.pattern() : asked;
  if (!text.empty()) {
    absl::StatusOr<TensorPattern> parsed = TensorPattern::Parse(text);
    if (!parsed.ok()) {
      return Invalid(absl::StrCat("outputs.out_pattern: ", parsed.status().message()));
    }
    pattern = *std::move(parsed);
  }
  if (pattern.packed() != packed) {
    return Invalid(absl::StrCat("outputs.out_pattern: '", pattern.text(), "' does not fit; q is ",
                                packed ? "packed" : "not packed"));
  }
  TensorPattern::Shaped shaped =
      pattern.ShapeOf(problem.batch, problem.heads, problem.query_len, problem.value_dim);
  ATTN_ASSIGN_OR_RETURN(OutputTensor out, MakeOutput("out", problem.out_dtype,
                                                     std::move(shaped.shape), shaped.layout));
  out.pattern = pattern.text();
  if (out.pattern.find('(') != std::string::npos) out.heads = problem.heads;
  call->outputs.push_back(std::move(out));

  if (problem.wanted.lse) {
    const int64_t dims[] = {problem.batch, problem.heads, problem.query_len};
    const std::span<const int64_t> seen = std::span(dims).subspan(packed ? 1 : 0);
    ATTN_ASSIGN_OR_RETURN(OutputTensor lse,
                          MakeOutput("lse", DType::kFloat32, {seen.begin(), seen.end()},
                                     TensorLayout::Contiguous(dims)));
    call->outputs.push_back(std::move(lse));
  }
  if (problem.wanted.weights) {
    const int64_t dims[] = {problem.batch, problem.heads, problem.query_len, problem.key_len};
    const std::span<const int64_t> seen = std::span(dims).subspan(packed ? 1 : 0);
    ATTN_ASSIGN_OR_RETURN(OutputTensor weights,
                          MakeOutput("weights", DType::kFloat32, {seen.begin(), seen.end()},
                                     TensorLayout::Contiguous(dims)));
    call->outputs.push_back(std::move(weights));
  }
  return absl::OkStatus();
}

absl::StatusOr<SelectionRequest> ReadSelection(const v1::AttendRequest& fields) {
  if (fields.allowed_backends_size() > kMaxAllowedBackends) {
    return Invalid(absl::StrCat("allowed_backends: ", fields.allowed_backends_size(),
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
      return Invalid(absl::StrCat("metadata.priority: ", static_cast<int>(priority),
                                  " is unknown, known: INTERACTIVE (1), BATCH (2)"));
  }
}

void CollectTensorNames(const OptionValue& value, std::set<std::string>* names) {
  if (const auto* tensor = std::get_if<TensorName>(&value.value)) names->insert(tensor->name);
  if (const auto* list = std::get_if<OptionList>(&value.value)) {
    for (const OptionValue& item : *list) CollectTensorNames(item, names);
  }
}

// Every tensor beside q, k and v is named by an option, and every named one is there.
absl::Status CheckTensorNames(const std::vector<InputTensor>& inputs, const OptionMap& options) {
  std::set<std::string> named = {"q", "k", "v"};
  for (const auto& [key, value] : options) CollectTensorNames(value, &named);
  std::set<std::string> present;
  for (const InputTensor& input : inputs) {
    if (!present.insert(input.name).second) {
      return Invalid(absl::StrCat("tensors: ", Quoted(input.name), " stands twice"));
    }
    if (!named.contains(input.name)) {
      return Invalid(absl::StrCat("tensors: ", Quoted(input.name),
                                  " is neither q, k nor v and no option names it"));
    }
  }
  for (const std::string& name : named) {
    if (!present.contains(name))
      return Invalid(absl::StrCat("tensors: ", Quoted(name), " missing"));
  }
  return absl::OkStatus();
}

// q, k and v first, the others behind them.
size_t Place(const InputTensor& input) {
  const size_t place = absl::string_view("qkv").find(input.name);
  return input.name.size() == 1 ? place : absl::string_view::npos;
}

}  // namespace

absl::StatusOr<ParsedCall> ParseCall(const v1::AttendRequest& fields,
                                     std::vector<WireTensor> tensors, PayloadRule rule) {
  if (const std::string field = FindUnknownField(fields); !field.empty()) {
    return Invalid(absl::StrCat("unknown field ", field,
                                "; the client is newer than this server, or the message garbage"));
  }
  ParsedCall call;
  ATTN_ASSIGN_OR_RETURN(call.selection, ReadSelection(fields));
  call.inputs.reserve(tensors.size());
  for (WireTensor& tensor : tensors) {
    ATTN_ASSIGN_OR_RETURN(InputTensor input, ReadTensor(tensor, rule));
    call.inputs.push_back(std::move(input));
  }
  ATTN_RETURN_IF_ERROR(CheckTensorNames(call.inputs, call.selection.options));

  ATTN_ASSIGN_OR_RETURN(const MaskSpec mask, FromProto(fields.mask()));
  if (mask.cu_seqlens_q.empty() != mask.cu_seqlens_k.empty()) {
    return Invalid("mask.cu_seqlens_q and mask.cu_seqlens_k: one is given without the other");
  }
  Named named;
  const v1::Tensor* q_header = nullptr;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    InputTensor& input = call.inputs[i];
    const v1::Tensor& header = tensors[i].header;
    InputTensor** slot = input.name == "q"   ? &named.q
                         : input.name == "k" ? &named.k
                         : input.name == "v" ? &named.v
                                             : nullptr;
    if (slot != nullptr) {
      *slot = &input;
      if (input.name == "q") q_header = &header;
      ATTN_RETURN_IF_ERROR(ApplyPattern(header, mask.packed(), &input));
    } else if (!header.pattern().empty() || header.heads() != 0) {
      return Invalid(absl::StrCat("tensor ", Quoted(input.name),
                                  ": pattern and heads are for q, k and v alone"));
    }
  }
  AttentionProblem& problem = call.problem;
  ATTN_RETURN_IF_ERROR(ReadSizes(named, &problem));
  ATTN_RETURN_IF_ERROR(ReadScale(fields, &problem));
  ATTN_ASSIGN_OR_RETURN(
      problem.mask, IntervalMask::Create(mask, problem.batch, problem.query_len, problem.key_len));
  ATTN_ASSIGN_OR_RETURN(problem.metadata, FromProto(fields.metadata(), problem.query_len));
  call.caller_id = fields.metadata().caller_id();
  if (call.caller_id.size() > kMaxCallerIdBytes) {
    return Invalid(absl::StrCat("metadata.caller_id: ", call.caller_id.size(),
                                " bytes, allowed: ", kMaxCallerIdBytes));
  }
  ATTN_ASSIGN_OR_RETURN(call.priority, ReadPriority(fields.metadata().priority()));
  ATTN_RETURN_IF_ERROR(ReadOutputsWanted(fields.outputs(), &problem));
  ATTN_RETURN_IF_ERROR(LayOutOutputs(fields, *q_header, &call));
  std::stable_sort(call.inputs.begin(), call.inputs.end(),
                   [](const InputTensor& a, const InputTensor& b) { return Place(a) < Place(b); });
  return call;
}

}  // namespace attn
