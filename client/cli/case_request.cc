#include "client/cli/case_request.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <set>
#include <span>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "client/cli/case_options.h"
#include "client/golden/tensor_compare.h"
#include "client/golden/tensor_convert.h"
#include "kernels/core/mask.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "server/transport/proto_conversion.h"

namespace attn::cli {
namespace {

// Options of every method that the contract has no words for yet. Their values false, 0 and "none"
// mean that nothing is asked for; any other value makes a case unsupported.
constexpr absl::string_view kNotInContract[] = {
    "softcap",
    "bias",
    "mask",
    "mask_expr",
    "sinks",
    "alibi_slopes",
    "q_offset",
    "kv_offset",
    "rope",
    "cos",
    "sin",
    "replicated_q",
    "replicated_k",
    "replicated_v",
    "skip_scores",
    "perturbation_mask",
    "gate_logits",
    "gate_form",
    "original_seq_len",
};

bool IsNeutral(const OptionValue& option) {
  if (const bool* flag = std::get_if<bool>(&option.value)) return !*flag;
  if (const int64_t* count = std::get_if<int64_t>(&option.value)) return *count == 0;
  if (const double* number = std::get_if<double>(&option.value)) return *number == 0;
  if (const std::string* word = std::get_if<std::string>(&option.value)) return *word == "none";
  return false;
}

// Builds one request, taking options out of `options_` as it understands them.
class RequestBuilder {
 public:
  RequestBuilder(const GoldenCase& golden_case, const std::string& prefix, OptionMap options)
      : case_(golden_case), prefix_(prefix), options_(std::move(options)) {}

  absl::StatusOr<CaseRequest> Build(std::optional<DType> dtype) {
    ATTN_RETURN_IF_ERROR(DropNeutralOptions());
    ATTN_RETURN_IF_ERROR(ReadMask());
    ATTN_RETURN_IF_ERROR(ReadScale());
    ATTN_RETURN_IF_ERROR(ReadMetadata());
    ATTN_RETURN_IF_ERROR(ReadHeads());
    ATTN_RETURN_IF_ERROR(CheckLeftOver());
    ATTN_RETURN_IF_ERROR(AddTensors(dtype));
    attention::v1::AttendRequest& request = built_.arguments.request;
    if (case_.backend != "dense") request.set_backend(case_.backend);
    request.mutable_outputs()->set_out_pattern(OutPattern(case_));
    ToProto(options_.left(), request.mutable_options());
    return std::move(built_);
  }

 private:
  // The numbers of the integer tensor that the option names; empty if it is absent.
  absl::StatusOr<std::vector<int64_t>> TakeIntTensor(absl::string_view name) {
    ATTN_ASSIGN_OR_RETURN(const std::optional<TensorName> reference,
                          options_.Take<TensorName>(name));
    std::vector<int64_t> numbers;
    if (!reference.has_value()) return numbers;
    in_mask_.insert(reference->name);
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

  // UNIMPLEMENTED if something is asked for that the contract cannot express.
  absl::Status DropNeutralOptions() {
    std::vector<std::string> asked;
    for (const absl::string_view name : kNotInContract) {
      const OptionValue* option = options_.Find(name);
      if (option == nullptr) continue;
      const int64_t* length = std::get_if<int64_t>(&option->value);
      const bool whole_sequence =  // Nothing was padded.
          name == "original_seq_len" && length != nullptr && *length == QueryLength();
      if (IsNeutral(*option) || whole_sequence) {
        options_.Drop(name);
      } else {
        asked.emplace_back(name);
      }
    }
    return Unsupported(asked);
  }

  // -1 if q's layout does not show it.
  int64_t QueryLength() const {
    const FileTensor* q = case_.Find(prefix_, "q");
    const int axis = SequenceAxis(case_.layout);
    if (q == nullptr || axis < 0 || axis >= static_cast<int>(q->shape.size())) return -1;
    return q->shape[static_cast<size_t>(axis)];
  }

  absl::Status ReadMask() {
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
    *built_.arguments.request.mutable_mask() = ToProto(mask);
    return absl::OkStatus();
  }

  absl::Status ReadScale() {
    ATTN_ASSIGN_OR_RETURN(const std::optional<double> scale, options_.TakeNumber("scale"));
    if (scale.has_value()) built_.arguments.request.set_scale(*scale);
    return absl::OkStatus();
  }

  absl::Status ReadMetadata() {
    attention::v1::CallMetadata& metadata = *built_.arguments.request.mutable_metadata();
    ATTN_ASSIGN_OR_RETURN(const std::vector<int64_t> grid, options_.TakeInts("grid", 3));
    if (!grid.empty()) {
      metadata.mutable_grid()->set_t(grid[0]);
      metadata.mutable_grid()->set_h(grid[1]);
      metadata.mutable_grid()->set_w(grid[2]);
    }
    ATTN_ASSIGN_OR_RETURN(const std::optional<int64_t> timestep,
                          options_.Take<int64_t>("timestep"));
    if (timestep.has_value()) metadata.set_timestep(*timestep);
    ATTN_ASSIGN_OR_RETURN(const std::optional<int64_t> layer, options_.Take<int64_t>("layer"));
    if (layer.has_value()) metadata.set_layer(*layer);
    // `text_length` and `text_tokens` (sta, where only text_length of them are valid) are options
    // of methods and stay so; how many text tokens there are is metadata as well.
    for (const char* name : {"text_tokens", "text_length"}) {
      const OptionValue* option = options_.Find(name);
      if (option == nullptr || metadata.text_length() > 0) continue;
      if (const int64_t* count = std::get_if<int64_t>(&option->value)) {
        metadata.set_text_length(*count);
      }
    }
    if (case_.backend == "dense") options_.Drop("text_length");
    return absl::OkStatus();
  }

  absl::Status ReadHeads() {
    ATTN_ASSIGN_OR_RETURN(const std::optional<int64_t> heads, options_.Take<int64_t>("heads"));
    ATTN_ASSIGN_OR_RETURN(const std::optional<int64_t> kv_heads,
                          options_.Take<int64_t>("kv_heads"));
    heads_ = heads.value_or(0);
    kv_heads_ = kv_heads.value_or(heads_);
    for (size_t i = 0; i < patterns_.size(); ++i) {
      ATTN_ASSIGN_OR_RETURN(std::optional<std::string> pattern,
                            options_.Take<std::string>(absl::StrCat(kOperands[i], "_pattern")));
      patterns_[i] = std::move(pattern).value_or(case_.layout);
    }
    return options_.Take<std::string>("out_pattern").status();  // OutPattern has read it.
  }

  // Dense attention has no options of its own.
  absl::Status CheckLeftOver() const {
    std::vector<std::string> left;
    if (case_.backend == "dense") {
      for (const auto& [name, value] : options_.left()) left.push_back(name);
    }
    return Unsupported(left);
  }

  static absl::Status Unsupported(const std::vector<std::string>& names) {
    if (names.empty()) return absl::OkStatus();
    return absl::UnimplementedError(
        absl::StrCat("this version cannot send ", absl::StrJoin(names, ", ")));
  }

  static void CollectTensorNames(const OptionValue& option, std::set<std::string>* names) {
    if (const TensorName* tensor = std::get_if<TensorName>(&option.value)) {
      names->insert(tensor->name);
    } else if (const OptionList* list = std::get_if<OptionList>(&option.value)) {
      for (const OptionValue& item : *list) CollectTensorNames(item, names);
    }
  }

  absl::Status AddTensors(std::optional<DType> dtype) {
    for (size_t i = 0; i < kOperands.size(); ++i) {
      ATTN_RETURN_IF_ERROR(
          AddTensor(kOperands[i], patterns_[i], i == 0 ? heads_ : kv_heads_, dtype));
    }
    std::set<std::string> named;
    for (const auto& [name, option] : options_.left()) CollectTensorNames(option, &named);
    for (const std::string& name : case_.inputs) {
      const bool operand = std::find(kOperands.begin(), kOperands.end(), name) != kOperands.end();
      if (operand || in_mask_.contains(name)) continue;
      if (named.erase(name) == 0) {
        return absl::InvalidArgumentError(
            absl::StrCat("input ", Quoted(name), " is named by no option"));
      }
      ATTN_RETURN_IF_ERROR(AddTensor(name, /*pattern=*/"", /*heads=*/0, dtype));
    }
    if (!named.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "an option names the tensor ", Quoted(*named.begin()), ", which is not among `inputs`"));
    }
    return absl::OkStatus();
  }

  absl::Status AddTensor(const std::string& name, std::string pattern, int64_t heads,
                         std::optional<DType> dtype) {
    const bool input =
        std::find(case_.inputs.begin(), case_.inputs.end(), name) != case_.inputs.end();
    const FileTensor* tensor = case_.Find(prefix_, name);
    const FileTensor* q = case_.Find(prefix_, "q");
    if (!input || tensor == nullptr || q == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("no input ", Quoted(name)));
    }
    ClientTensor sent{.name = name,
                      .dtype = tensor->dtype,
                      .shape = tensor->shape,
                      .pattern = std::move(pattern),
                      .heads = heads,
                      .data = tensor->data};
    // Widening takes every float along; narrowing only what the case stores like q.
    const bool convert = dtype.has_value() && *dtype != tensor->dtype && IsFloat(tensor->dtype) &&
                         (*dtype == DType::kFloat32 || tensor->dtype == q->dtype);
    if (convert) {
      ATTN_ASSIGN_OR_RETURN(AlignedBuffer converted, ConvertFloats(*tensor, *dtype));
      sent.dtype = *dtype;
      sent.data = {converted.data(), static_cast<size_t>(converted.size())};
      built_.converted.push_back(std::move(converted));
    }
    built_.arguments.tensors.push_back(std::move(sent));
    return absl::OkStatus();
  }

  static constexpr std::array<const char*, 3> kOperands = {"q", "k", "v"};

  const GoldenCase& case_;
  const std::string& prefix_;
  CaseOptions options_;
  std::set<std::string> in_mask_;  // Tensors that became lists of the mask.
  int64_t heads_ = 0;
  int64_t kv_heads_ = 0;
  std::array<std::string, kOperands.size()> patterns_;
  CaseRequest built_;
};

}  // namespace

absl::StatusOr<CaseRequest> MakeCaseRequest(const GoldenCase& golden_case,
                                            const std::string& prefix, const OptionMap& changed,
                                            std::optional<DType> dtype) {
  OptionMap options = changed;
  options.insert(golden_case.options.begin(), golden_case.options.end());  // Keeps what is there.
  return RequestBuilder(golden_case, prefix, std::move(options)).Build(dtype);
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
