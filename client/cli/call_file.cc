#include "client/cli/call_file.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/golden/tensor_convert.h"
#include "client/named_tensors.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

// The digits at the front of `text`, cut off it, without leading zeros.
absl::string_view ConsumeNumber(absl::string_view* text) {
  size_t size = 0;
  while (size < text->size() && absl::ascii_isdigit(static_cast<unsigned char>((*text)[size]))) {
    ++size;
  }
  absl::string_view number = text->substr(0, size);
  text->remove_prefix(size);
  while (number.size() > 1 && number[0] == '0') number.remove_prefix(1);
  return number;
}

// Adds one tensor of the file; `operand`: `q`, `k` or `v`, which it lies like, or empty.
absl::Status AddTensor(const std::string& name, const FileTensor& stored,
                       const std::string& operand, const LayoutFlags& layout,
                       std::optional<DType> dtype, CallTensors* to) {
  ClientTensor tensor = {
      .name = name, .dtype = stored.dtype, .shape = stored.shape, .data = stored.data};
  if (!operand.empty()) {
    tensor.pattern = layout.PatternOf(operand);
    tensor.heads = layout.HeadsOf(operand);
  }
  if (!operand.empty() && dtype.has_value() && *dtype != stored.dtype) {
    absl::StatusOr<AlignedBuffer> converted = ConvertFloats(stored, *dtype);
    if (!converted.ok()) {
      return absl::Status(converted.status().code(), absl::StrCat("tensor ", Quoted(name), ": ",
                                                                  converted.status().message()));
    }
    AlignedBuffer& widened = to->widened.emplace_back(*std::move(converted));
    tensor.dtype = *dtype;
    tensor.data = {widened.data(), static_cast<size_t>(widened.size())};
  }
  to->tensors.push_back(std::move(tensor));
  return absl::OkStatus();
}

}  // namespace

bool NaturalLess(absl::string_view a, absl::string_view b) {
  while (!a.empty() && !b.empty()) {
    const absl::string_view number_a = ConsumeNumber(&a);
    const absl::string_view number_b = ConsumeNumber(&b);
    if (number_a.size() != number_b.size()) return number_a.size() < number_b.size();
    if (number_a != number_b) return number_a < number_b;
    if (a.empty() || b.empty()) break;
    if (a[0] != b[0]) return a[0] < b[0];
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  return a.size() < b.size();
}

absl::StatusOr<std::vector<std::string>> FindCalls(const SafetensorsFile& file) {
  std::vector<std::string> prefixes;
  for (const auto& [name, tensor] : file.tensors()) {
    if (name != "q" && !absl::EndsWith(name, ".q")) continue;
    const std::string prefix = name.substr(0, name.size() - 1);
    for (const char* other : {"k", "v"}) {
      if (file.Find(prefix + other) == nullptr) {
        return absl::InvalidArgumentError(absl::StrCat("the file has the tensor ", Quoted(name),
                                                       ", but no ", Quoted(prefix + other)));
      }
    }
    prefixes.push_back(prefix);
  }
  if (prefixes.empty()) {
    return absl::InvalidArgumentError(
        "the file has no tensor named q, nor one whose name ends in .q (layers.0.q)");
  }
  std::sort(prefixes.begin(), prefixes.end(), NaturalLess);
  return prefixes;
}

absl::StatusOr<CallTensors> ReadCallTensors(const SafetensorsFile& file, const std::string& prefix,
                                            const attention::v1::AttendRequest& request,
                                            const LayoutFlags& layout, std::optional<DType> dtype) {
  CallTensors call;
  for (const char* name : {"q", "k", "v"}) {
    ATTN_RETURN_IF_ERROR(
        AddTensor(name, *file.Find(absl::StrCat(prefix, name)), name, layout, dtype, &call));
  }
  for (const std::string& name : NamedTensors(request)) {
    if (name == "q" || name == "k" || name == "v") continue;
    const FileTensor* stored = file.Find(prefix + name);
    if (stored == nullptr) stored = file.Find(name);
    if (stored == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("the call names the tensor ", Quoted(name), ", but the file has none"));
    }
    ATTN_RETURN_IF_ERROR(
        AddTensor(name, *stored, OperandOf(name, request.replicated()), layout, dtype, &call));
  }
  return call;
}

}  // namespace attn::cli
