#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/load/entry_json.h"
#include "client/load/entry_mask_json.h"
#include "client/load/entry_stages_json.h"
#include "client/load/entry_tensors_json.h"
#include "client/load/object_reader.h"
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
  if (ReadFloatDType(reader, "out_dtype", &dtype)) outputs.set_out_dtype(ToProto(dtype));
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
    ATTN_RETURN_IF_ERROR(ReadMask(*mask, reader.PathOf("mask"), request->mutable_mask()));
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

}  // namespace

absl::StatusOr<Entry> EntryFromJson(const JsonValue& object, const std::string& where) {
  Entry entry;
  ObjectReader reader(object, where);
  reader.Read("name", &entry.name);
  if (reader.Read("weight", &entry.weight) && entry.weight <= 0) {
    reader.Refuse("weight", "a number above 0");
  }
  ATTN_RETURN_IF_ERROR(ReadSelection(reader, &entry.request));
  ATTN_RETURN_IF_ERROR(ReadStages(reader, &entry.request));
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
  absl::StatusOr<std::vector<TensorSpec>> specs = ReadOperands(reader, packed);
  if (!specs.ok()) reader.Refuse(specs.status());
  std::vector<TensorSpec> named;
  const absl::Status named_read = ReadNamedTensors(reader, &named);
  ATTN_RETURN_IF_ERROR(reader.Finish());
  ATTN_RETURN_IF_ERROR(named_read);
  entry.tensors = *std::move(specs);
  entry.tensors.insert(entry.tensors.end(), named.begin(), named.end());
  const absl::Status together = CheckTogether(entry.tensors, entry.request);
  if (!together.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": ", together.message()));
  }
  return entry;
}

}  // namespace attn::load
