#include "client/load/entry_tensors_json.h"

#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/core/status_macros.h"

namespace attn::load {
namespace {

using JsonValue = nlohmann::json;

bool ReadDType(ObjectReader& reader, const char* key, const std::vector<DType>& allowed,
               DType* to) {
  std::vector<std::string> names;
  for (const DType dtype : allowed) names.emplace_back(Name(dtype));
  size_t place = 0;
  if (!reader.Read(key, names, &place)) return false;
  *to = allowed[place];
  return true;
}

void ReadRange(ObjectReader& reader, TensorSpec* spec) {
  const JsonValue* range = reader.Find("range");
  if (range == nullptr) return;
  if (range->is_array() && range->size() == 2 && (*range)[0].is_number() &&
      (*range)[1].is_number()) {
    spec->range = ValueRange{(*range)[0].get<double>(), (*range)[1].get<double>()};
  } else {
    reader.Refuse("range", "[smallest, largest]");
  }
}

absl::StatusOr<TensorSpec> ReadNamedTensor(const std::string& name, const JsonValue& value,
                                           const std::string& where) {
  ObjectReader reader(value, where);
  TensorSpec spec = {.name = name};
  ReadDType(reader, "dtype", {std::begin(kAllDTypes), std::end(kAllDTypes)}, &spec.dtype);
  reader.Read("shape", 1, &spec.shape);
  reader.Read("pattern", &spec.pattern);
  reader.Read("heads", 1, &spec.heads);
  ReadRange(reader, &spec);
  reader.Read("ascending", &spec.ascending);
  ATTN_RETURN_IF_ERROR(reader.Finish());
  if (spec.shape.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(where, ".shape: missing"));
  }
  const absl::Status drawable = CheckDrawable(spec);
  if (drawable.ok()) return spec;
  return absl::InvalidArgumentError(absl::StrCat(where, ".", drawable.message()));
}

OrderedJson NamedTensorJson(const TensorSpec& tensor) {
  OrderedJson json = {{"dtype", std::string(Name(tensor.dtype))}, {"shape", tensor.shape}};
  PutText("pattern", tensor.pattern, &json);
  PutNumber("heads", tensor.heads, &json);
  if (tensor.range.has_value()) {
    // Integers as such: 3, not 3.0.
    json["range"] = {tensor.range->min, tensor.range->max};
    if (!IsFloat(tensor.dtype)) {
      json["range"] = {static_cast<int64_t>(tensor.range->min),
                       static_cast<int64_t>(tensor.range->max)};
    }
  }
  PutTrue("ascending", tensor.ascending, &json);
  return json;
}

}  // namespace

bool ReadFloatDType(ObjectReader& reader, const char* key, DType* to) {
  return ReadDType(reader, key, {DType::kFloat32, DType::kFloat16, DType::kBFloat16}, to);
}

absl::StatusOr<std::vector<TensorSpec>> ReadOperands(ObjectReader& entry, bool packed) {
  CommonShape common;
  ReadFloatDType(entry, "dtype", &common.dtype);
  std::string pattern;
  entry.Read("pattern", &pattern);
  common.q_pattern = common.k_pattern = common.v_pattern = pattern;
  entry.Read("q_pattern", &common.q_pattern);
  entry.Read("k_pattern", &common.k_pattern);
  entry.Read("v_pattern", &common.v_pattern);
  int64_t heads = 0;
  entry.Read("heads", 1, &heads);
  entry.Read("kv_heads", 1, &common.kv_heads);
  entry.Read("sk", 1, &common.key_len);
  entry.Read("dv", 1, &common.value_dim);
  std::vector<TensorSpec> specs = {{"q", common.dtype, {}, common.q_pattern, heads},
                                   {"k", common.dtype, {}, common.k_pattern, common.kv_heads},
                                   {"v", common.dtype, {}, common.v_pattern, common.kv_heads}};
  entry.Read("q_shape", 1, &specs[0].shape);
  entry.Read("k_shape", 1, &specs[1].shape);
  entry.Read("v_shape", 1, &specs[2].shape);
  if (!entry.Read("shape", 1, &common.shape)) return specs;
  if (heads != 0 && common.shape.size() == 4 && heads != common.shape[1]) {
    entry.Refuse("heads", absl::StrCat("absent, or that of shape, ", common.shape[1]));
  }
  return LayOut(entry.PathOf("shape"), common, packed);
}

absl::Status ReadNamedTensors(ObjectReader& entry, std::vector<TensorSpec>* to) {
  const JsonValue* object = entry.Find("tensors");
  if (object == nullptr) return absl::OkStatus();
  const std::string where = entry.PathOf("tensors");
  if (!object->is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": ", object->type_name(), "; allowed: an object, tensor by tensor"));
  }
  for (const auto& [name, value] : object->items()) {
    ATTN_ASSIGN_OR_RETURN(TensorSpec spec,
                          ReadNamedTensor(name, value, absl::StrCat(where, ".", name)));
    to->push_back(std::move(spec));
  }
  return absl::OkStatus();
}

void PutTensors(const std::vector<TensorSpec>& tensors, OrderedJson* to) {
  OrderedJson named = OrderedJson::object();
  for (const TensorSpec& tensor : tensors) {
    const bool operand = tensor.name == "q" || tensor.name == "k" || tensor.name == "v";
    if (!operand) {
      named[tensor.name] = NamedTensorJson(tensor);
      continue;
    }
    (*to)[tensor.name + "_shape"] = tensor.shape;
    PutText((tensor.name + "_pattern").c_str(), tensor.pattern, to);
    if (tensor.name == "q") (*to)["dtype"] = std::string(Name(tensor.dtype));
    if (tensor.name != "v") {
      PutNumber(tensor.name == "q" ? "heads" : "kv_heads", tensor.heads, to);
    }
  }
  PutObject("tensors", named, to);
}

}  // namespace attn::load
