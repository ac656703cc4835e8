#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/load/entry_json.h"
#include "client/load/object_reader.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "server/transport/option_json.h"
#include "server/transport/proto_conversion.h"

namespace attn::load {
namespace {

using attention::v1::AttendRequest;
using JsonValue = nlohmann::json;

// 1 for each of these keys that is there, whatever they hold.
int CountKeys(const JsonValue& object, std::initializer_list<const char*> keys) {
  int count = 0;
  for (const char* key : keys) count += object.is_object() && object.contains(key) ? 1 : 0;
  return count;
}

absl::Status ReadMask(const JsonValue& object, const std::string& where, AttendRequest* request) {
  ObjectReader reader(object, where);
  attention::v1::Mask& mask = *request->mutable_mask();
  bool causal = false;
  if (reader.Read("causal", &causal)) mask.set_causal(causal);
  size_t alignment = 0;
  if (reader.Read("alignment", {"top_left", "bottom_right"}, &alignment)) {
    mask.set_alignment(alignment == 0 ? attention::v1::Mask::TOP_LEFT
                                      : attention::v1::Mask::BOTTOM_RIGHT);
  }
  std::vector<int64_t> window;
  if (reader.Read("window", -1, &window)) {
    if (window.size() == 2) {
      mask.mutable_window()->set_left(window[0]);
      mask.mutable_window()->set_right(window[1]);
    } else {
      reader.Refuse("window", "[left, right], -1 = unbounded");
    }
  }
  std::vector<int64_t> numbers;
  const auto read_list = [&](const char* key, auto* to) {
    if (reader.Read(key, 0, &numbers)) to->Assign(numbers.begin(), numbers.end());
  };
  read_list("q_lengths", mask.mutable_q_lengths());
  read_list("k_lengths", mask.mutable_k_lengths());
  read_list("cu_seqlens_q", mask.mutable_cu_seqlens_q());
  read_list("cu_seqlens_k", mask.mutable_cu_seqlens_k());
  return reader.Finish();
}

absl::Status ReadMetadata(const JsonValue& object, const std::string& where,
                          AttendRequest* request) {
  ObjectReader reader(object, where);
  attention::v1::CallMetadata& metadata = *request->mutable_metadata();
  int64_t number = 0;
  if (reader.Read("timestep", 0, &number)) metadata.set_timestep(number);
  if (reader.Read("layer", 0, &number)) metadata.set_layer(number);
  if (reader.Read("text_length", 0, &number)) metadata.set_text_length(number);
  reader.Read("caller_id", metadata.mutable_caller_id());
  std::vector<int64_t> grid;
  if (reader.Read("grid", 1, &grid)) {
    if (grid.size() == 3) {
      metadata.mutable_grid()->set_t(grid[0]);
      metadata.mutable_grid()->set_h(grid[1]);
      metadata.mutable_grid()->set_w(grid[2]);
    } else {
      reader.Refuse("grid", "[frames, rows, columns]");
    }
  }
  return reader.Finish();
}

// Among the float dtypes: of others there is no random data that means something.
bool ReadDType(ObjectReader& reader, const char* key, DType* to) {
  constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};
  size_t place = 0;
  if (!reader.Read(key, {"fp32", "fp16", "bf16"}, &place)) return false;
  *to = kDTypes[place];
  return true;
}

absl::Status ReadOutputs(const JsonValue& object, const std::string& where,
                         AttendRequest* request) {
  ObjectReader reader(object, where);
  attention::v1::Outputs& outputs = *request->mutable_outputs();
  bool wanted = false;
  if (reader.Read("lse", &wanted)) outputs.set_lse(wanted);
  if (reader.Read("weights", &wanted)) outputs.set_weights(wanted);
  if (reader.Read("plan", &wanted)) outputs.set_plan(wanted);
  int64_t block = 0;
  if (reader.Read("plan_block_q", 0, &block)) outputs.set_plan_block_q(block);
  if (reader.Read("plan_block_k", 0, &block)) outputs.set_plan_block_k(block);
  reader.Read("out_pattern", outputs.mutable_out_pattern());
  DType dtype = DType::kFloat32;
  if (ReadDType(reader, "out_dtype", &dtype)) outputs.set_out_dtype(ToProto(dtype));
  return reader.Finish();
}

absl::Status ReadOptions(const JsonValue& object, const std::string& where,
                         AttendRequest* request) {
  if (!object.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": ", object.type_name(), "; allowed: an object, option by option"));
  }
  OptionMap options;
  for (const auto& [key, value] : object.items()) {
    absl::StatusOr<OptionValue> option = OptionFromText(value.dump());
    if (!option.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ".", key, ": ", option.status().message()));
    }
    options.emplace(key, *std::move(option));
  }
  ToProto(options, request->mutable_options());
  return absl::OkStatus();
}

absl::Status ReadSelection(ObjectReader& reader, AttendRequest* request) {
  reader.Read("backend", request->mutable_backend());
  std::vector<std::string> allowed;
  reader.Read("allowed_backends", &allowed);
  for (std::string& name : allowed) request->add_allowed_backends(std::move(name));
  reader.Read("model", request->mutable_model());
  reader.Read("preset", request->mutable_preset());
  bool allow = false;
  if (reader.Read("allow_fallback", &allow)) request->set_allow_fallback(allow);
  if (reader.Read("allow_approximate", &allow)) request->set_allow_approximate(allow);
  double scale = 0;
  if (reader.Read("scale", &scale)) request->set_scale(scale);
  if (const JsonValue* options = reader.Find("options")) {
    ATTN_RETURN_IF_ERROR(ReadOptions(*options, reader.PathOf("options"), request));
  }
  if (const JsonValue* mask = reader.Find("mask")) {
    ATTN_RETURN_IF_ERROR(ReadMask(*mask, reader.PathOf("mask"), request));
  }
  if (const JsonValue* metadata = reader.Find("metadata")) {
    ATTN_RETURN_IF_ERROR(ReadMetadata(*metadata, reader.PathOf("metadata"), request));
  }
  size_t priority = 0;
  if (reader.Read("priority", {"interactive", "batch"}, &priority)) {
    request->mutable_metadata()->set_priority(priority == 0
                                                  ? attention::v1::CallMetadata::INTERACTIVE
                                                  : attention::v1::CallMetadata::BATCH);
  }
  if (const JsonValue* outputs = reader.Find("outputs")) {
    ATTN_RETURN_IF_ERROR(ReadOutputs(*outputs, reader.PathOf("outputs"), request));
  }
  return absl::OkStatus();
}

// q, k and v: by `shape`, or each by its own.
absl::StatusOr<std::vector<TensorSpec>> ReadShapes(ObjectReader& reader, bool packed) {
  CommonShape common;
  ReadDType(reader, "dtype", &common.dtype);
  std::string pattern;
  reader.Read("pattern", &pattern);
  common.q_pattern = common.k_pattern = common.v_pattern = pattern;
  reader.Read("q_pattern", &common.q_pattern);
  reader.Read("k_pattern", &common.k_pattern);
  reader.Read("v_pattern", &common.v_pattern);
  int64_t heads = 0;
  reader.Read("heads", 1, &heads);
  reader.Read("kv_heads", 1, &common.kv_heads);
  reader.Read("sk", 1, &common.key_len);
  reader.Read("dv", 1, &common.value_dim);
  if (reader.Read("shape", 1, &common.shape)) {
    if (heads != 0 && common.shape.size() == 4 && heads != common.shape[1]) {
      reader.Refuse("heads", absl::StrCat("absent, or that of shape, ", common.shape[1]));
    }
    return LayOut(reader.PathOf("shape"), common, packed);
  }
  std::vector<TensorSpec> specs = {{"q", common.dtype, {}, common.q_pattern, heads},
                                   {"k", common.dtype, {}, common.k_pattern, common.kv_heads},
                                   {"v", common.dtype, {}, common.v_pattern, common.kv_heads}};
  reader.Read("q_shape", 1, &specs[0].shape);
  reader.Read("k_shape", 1, &specs[1].shape);
  reader.Read("v_shape", 1, &specs[2].shape);
  return specs;
}

// Tensors that options name.
absl::Status ReadTensors(const JsonValue& object, const std::string& where,
                         std::vector<TensorSpec>* specs) {
  if (!object.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": ", object.type_name(), "; allowed: an object, tensor by tensor"));
  }
  for (const auto& [name, value] : object.items()) {
    ObjectReader reader(value, absl::StrCat(where, ".", name));
    TensorSpec spec = {.name = name};
    ReadDType(reader, "dtype", &spec.dtype);
    if (!reader.Read("shape", 1, &spec.shape)) reader.Find("shape");
    ATTN_RETURN_IF_ERROR(reader.Finish());
    if (spec.shape.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(where, ".", name, ".shape: missing"));
    }
    specs->push_back(std::move(spec));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Entry> EntryFromJson(const JsonValue& object, const std::string& where) {
  Entry entry;
  ObjectReader reader(object, where);
  reader.Read("name", &entry.name);
  if (reader.Read("weight", &entry.weight) && entry.weight <= 0) {
    reader.Refuse("weight", "a number above 0");
  }
  ATTN_RETURN_IF_ERROR(ReadSelection(reader, &entry.request));
  const int own_shapes = CountKeys(object, {"q_shape", "k_shape", "v_shape"});
  const bool common_shape = CountKeys(object, {"shape"}) == 1;
  if (object.is_object() && (common_shape ? own_shapes != 0 : own_shapes != 3)) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": needs `shape`, or `q_shape`, `k_shape` and `v_shape`"));
  }
  if (!common_shape && CountKeys(object, {"sk", "dv"}) > 0) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": `sk` and `dv` belong to `shape`"));
  }
  const auto& mask = entry.request.mask();
  const bool packed = mask.cu_seqlens_q_size() > 0 || mask.cu_seqlens_k_size() > 0;
  absl::StatusOr<std::vector<TensorSpec>> specs = ReadShapes(reader, packed);
  for (const char* key : {"shape", "q_shape", "k_shape", "v_shape"}) reader.Find(key);
  if (!specs.ok()) reader.Refuse(specs.status());
  const JsonValue* tensors = reader.Find("tensors");
  ATTN_RETURN_IF_ERROR(reader.Finish());
  entry.tensors = *std::move(specs);
  if (tensors != nullptr) {
    ATTN_RETURN_IF_ERROR(ReadTensors(*tensors, reader.PathOf("tensors"), &entry.tensors));
  }
  const absl::Status together = CheckTogether(entry.tensors, entry.request);
  if (!together.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": ", together.message()));
  }
  return entry;
}

}  // namespace attn::load
