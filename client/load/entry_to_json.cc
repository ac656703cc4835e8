#include "absl/strings/ascii.h"
#include "client/load/entry_json.h"
#include "client/load/entry_mask_json.h"
#include "client/load/entry_stages_json.h"
#include "client/load/entry_tensors_json.h"
#include "client/load/ordered_json.h"
#include "server/transport/option_json.h"
#include "server/transport/proto_conversion.h"

namespace attn::load {
namespace {

OrderedJson MetadataJson(const attention::v1::CallMetadata& metadata) {
  OrderedJson json = OrderedJson::object();
  if (metadata.has_timestep()) json["timestep"] = metadata.timestep();
  if (metadata.has_layer()) json["layer"] = metadata.layer();
  if (metadata.has_grid()) {
    json["grid"] = {metadata.grid().t(), metadata.grid().h(), metadata.grid().w()};
  }
  if (metadata.text_length() != 0) json["text_length"] = metadata.text_length();
  PutText("caller_id", metadata.caller_id(), &json);
  return json;
}

OrderedJson OutputsJson(const attention::v1::Outputs& outputs) {
  OrderedJson json = OrderedJson::object();
  PutTrue("lse", outputs.lse(), &json);
  PutTrue("weights", outputs.weights(), &json);
  PutTrue("plan", outputs.plan(), &json);
  if (outputs.plan_block_q() != 0) json["plan_block_q"] = outputs.plan_block_q();
  if (outputs.plan_block_k() != 0) json["plan_block_k"] = outputs.plan_block_k();
  PutText("out_pattern", outputs.out_pattern(), &json);
  const absl::StatusOr<DType> dtype = FromProto("out_dtype", outputs.out_dtype());
  if (dtype.ok()) json["out_dtype"] = std::string(Name(*dtype));
  return json;
}

OrderedJson OptionsJson(const attention::v1::AttendRequest& request) {
  OrderedJson json = OrderedJson::object();
  const absl::StatusOr<OptionMap> options = FromProto(request.options());
  if (!options.ok()) return json;  // No server takes them: not a call that was made.
  for (const auto& [key, value] : *options) json[key] = OrderedJson::parse(ToJson(value));
  return json;
}

}  // namespace

OrderedJson EntryToJson(const Entry& entry) {
  const attention::v1::AttendRequest& request = entry.request;
  OrderedJson json = OrderedJson::object();
  PutText("name", entry.name, &json);
  json["weight"] = entry.weight;
  PutTensors(entry.tensors, &json);
  PutText("backend", request.backend(), &json);
  PutList("allowed_backends", request.allowed_backends(), &json);
  PutText("model", request.model(), &json);
  PutText("preset", request.preset(), &json);
  PutTrue("allow_fallback", request.allow_fallback(), &json);
  PutTrue("allow_approximate", request.allow_approximate(), &json);
  if (request.has_scale()) json["scale"] = request.scale();
  PutObject("options", OptionsJson(request), &json);
  PutObject("mask", MaskToJson(request.mask()), &json);
  PutStages(request, &json);
  PutObject("metadata", MetadataJson(request.metadata()), &json);
  if (request.metadata().priority() != attention::v1::CallMetadata::PRIORITY_UNSPECIFIED) {
    json["priority"] = request.metadata().priority() == attention::v1::CallMetadata::BATCH
                           ? "batch"
                           : "interactive";
  }
  PutObject("outputs", OutputsJson(request.outputs()), &json);
  return json;
}

}  // namespace attn::load
