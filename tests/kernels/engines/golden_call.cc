#include "tests/kernels/engines/golden_call.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/golden/tensor_compare.h"
#include "client/golden/tensor_convert.h"
#include "kernels/core/options.h"
#include "kernels/core/status_macros.h"
#include "kernels/core/tensor_pattern.h"

namespace attn {
namespace {

// Options whose value names a tensor of integers.
constexpr const char* kIntegerTensors[] = {"q_lengths", "k_lengths", "cu_seqlens_q",
                                           "cu_seqlens_k"};
constexpr const char* kOtherOptions[] = {"scale",     "causal",     "causal_alignment", "window",
                                         "heads",     "kv_heads",   "q_pattern",        "k_pattern",
                                         "v_pattern", "out_pattern"};
constexpr const char* kOutputs[] = {"out", "lse", "weights"};

template <typename Names>
bool Contains(const Names& names, const std::string& name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

std::string Pattern(const GoldenCase& golden, const std::string& tensor) {
  const auto found = golden.options.find(tensor + "_pattern");
  return found == golden.options.end() ? golden.layout : std::get<std::string>(found->second.value);
}

absl::StatusOr<std::vector<int64_t>> Integers(const GoldenCase& golden, const std::string& prefix,
                                              const std::string& option) {
  std::vector<int64_t> integers;
  const auto found = golden.options.find(option);
  if (found == golden.options.end()) return integers;
  const std::string& name = std::get<TensorName>(found->second.value).name;
  const FileTensor* tensor = golden.Find(prefix, name);
  if (tensor == nullptr) return absl::NotFoundError(absl::StrCat("no tensor ", name));
  ATTN_ASSIGN_OR_RETURN(const std::vector<double> values, ToDoubles(*tensor));
  for (const double value : values) integers.push_back(static_cast<int64_t>(value));
  return integers;
}

// 0 where the case names none.
double Scale(const GoldenCase& golden) {
  const auto scale = golden.options.find("scale");
  if (scale == golden.options.end()) return 0;
  const auto* integer = std::get_if<int64_t>(&scale->second.value);
  return integer != nullptr ? static_cast<double>(*integer) : std::get<double>(scale->second.value);
}

absl::StatusOr<MaskSpec> Mask(const GoldenCase& golden, const std::string& prefix) {
  MaskSpec spec;
  const auto causal = golden.options.find("causal");
  spec.causal = causal != golden.options.end() && std::get<bool>(causal->second.value);
  if (const auto window = golden.options.find("window"); window != golden.options.end()) {
    const auto& ends = std::get<OptionList>(window->second.value);
    spec.window = Window{std::get<int64_t>(ends.at(0).value), std::get<int64_t>(ends.at(1).value)};
  }
  const auto alignment = golden.options.find("causal_alignment");
  if (alignment != golden.options.end() && (spec.causal || spec.window.has_value())) {
    spec.alignment = std::get<std::string>(alignment->second.value) == "TOP_LEFT"
                         ? CausalAlignment::kTopLeft
                         : CausalAlignment::kBottomRight;
  }
  ATTN_ASSIGN_OR_RETURN(spec.q_lengths, Integers(golden, prefix, "q_lengths"));
  ATTN_ASSIGN_OR_RETURN(spec.k_lengths, Integers(golden, prefix, "k_lengths"));
  ATTN_ASSIGN_OR_RETURN(spec.cu_seqlens_q, Integers(golden, prefix, "cu_seqlens_q"));
  ATTN_ASSIGN_OR_RETURN(spec.cu_seqlens_k, Integers(golden, prefix, "cu_seqlens_k"));
  return spec;
}

}  // namespace

std::string GoldenCall::UnknownPart(const GoldenCase& golden) {
  std::vector<std::string> tensors = {"q", "k", "v"};
  for (const auto& [name, value] : golden.options) {
    if (Contains(kIntegerTensors, name)) {
      tensors.push_back(std::get<TensorName>(value.value).name);
    } else if (!Contains(kOtherOptions, name)) {
      return "option " + name;
    }
  }
  for (const std::string& input : golden.inputs) {
    if (!Contains(tensors, input)) return "input " + input;
  }
  for (const Expectation& expectation : golden.expected) {
    if (!Contains(kOutputs, expectation.output)) return "output " + expectation.output;
    if (!expectation.with.empty() || expectation.rows.has_value()) return "a run of its own";
  }
  return "";
}

absl::StatusOr<std::unique_ptr<GoldenCall>> GoldenCall::Create(const GoldenCase& golden,
                                                               const std::string& prefix,
                                                               DType dtype, bool weights) {
  std::unique_ptr<GoldenCall> call(new GoldenCall);
  ATTN_RETURN_IF_ERROR(call->AddInputs(golden, prefix, dtype));
  ATTN_RETURN_IF_ERROR(call->AddProblem(golden, prefix, dtype));
  call->AddOutputs(golden, dtype, weights);
  return call;
}

absl::Status GoldenCall::AddInputs(const GoldenCase& golden, const std::string& prefix,
                                   DType dtype) {
  struct Input {
    const char* name;
    const char* heads_option;
    AlignedBuffer* buffer;
    TensorView* view;
  };
  for (const Input& input : {Input{"q", "heads", &q_, &call_.q},
                             {"k", "kv_heads", &k_, &call_.k},
                             {"v", "kv_heads", &v_, &call_.v}}) {
    const FileTensor* tensor = golden.Find(prefix, input.name);
    if (tensor == nullptr) return absl::NotFoundError(absl::StrCat("no tensor ", input.name));
    ATTN_ASSIGN_OR_RETURN(*input.buffer, ConvertFloats(*tensor, dtype));
    ATTN_ASSIGN_OR_RETURN(const TensorPattern pattern,
                          TensorPattern::Parse(Pattern(golden, input.name)));
    ATTN_ASSIGN_OR_RETURN(const TensorLayout layout,
                          pattern.Resolve(input.name, tensor->shape,
                                          IntOption(golden.options, input.heads_option, 0)));
    *input.view = {input.buffer->data(), dtype, layout};
  }
  return absl::OkStatus();
}

absl::Status GoldenCall::AddProblem(const GoldenCase& golden, const std::string& prefix,
                                    DType dtype) {
  AttentionProblem& problem = call_.problem;
  problem.batch = call_.q.dim(0);
  problem.heads = call_.q.dim(1);
  problem.kv_heads = call_.k.dim(1);
  problem.query_len = call_.q.dim(2);
  problem.key_len = call_.k.dim(2);
  problem.head_dim = call_.q.dim(3);
  problem.value_dim = call_.v.dim(3);
  problem.dtype = dtype;
  problem.out_dtype = dtype;
  problem.scale = Scale(golden);
  ATTN_ASSIGN_OR_RETURN(const MaskSpec spec, Mask(golden, prefix));
  ATTN_ASSIGN_OR_RETURN(
      problem.mask, IntervalMask::Create(spec, problem.batch, problem.query_len, problem.key_len));
  return absl::OkStatus();
}

void GoldenCall::AddOutputs(const GoldenCase& golden, DType dtype, bool weights) {
  AttentionProblem& problem = call_.problem;
  out_ = OwnedTensor(dtype, Pattern(golden, "out"), problem.batch, problem.heads, problem.query_len,
                     problem.value_dim);
  lse_ =
      OwnedTensor(DType::kFloat32, "b h s d", problem.batch, problem.heads, problem.query_len, 1);
  call_.out = out_.view();
  call_.lse = lse_.view();
  call_.lse.layout.rank = 3;
  problem.wanted.lse = true;
  if (!weights) return;
  weights_ = OwnedTensor(DType::kFloat32, "b h s d", problem.batch, problem.heads,
                         problem.query_len, problem.key_len);
  call_.weights = weights_.view();
  problem.wanted.weights = true;
}

std::vector<double> GoldenCall::Output(const std::string& name) const {
  const OwnedTensor& tensor = name == "out" ? out_ : name == "lse" ? lse_ : weights_;
  const std::vector<std::byte> bytes = tensor.Bytes();
  return *ToDoubles({.dtype = tensor.view().dtype,
                     .shape = {tensor.view().layout.element_count()},
                     .data = bytes});
}

}  // namespace attn
