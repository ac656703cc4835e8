#include "absl/strings/ascii.h"
#include "client/load/entry_json.h"
#include "server/transport/option_json.h"
#include "server/transport/proto_conversion.h"

namespace attn::load {
namespace {

using Ordered = nlohmann::ordered_json;

template <typename Repeated>
void PutList(const char* key, const Repeated& values, Ordered* to) {
  if (values.empty()) return;
  (*to)[key] = std::vector<typename Repeated::value_type>(values.begin(), values.end());
}

void PutText(const char* key, const std::string& text, Ordered* to) {
  if (!text.empty()) (*to)[key] = text;
}

void PutTrue(const char* key, bool value, Ordered* to) {
  if (value) (*to)[key] = true;
}

void PutObject(const char* key, const Ordered& object, Ordered* to) {
  if (!object.empty()) (*to)[key] = object;
}

Ordered MaskJson(const attention::v1::Mask& mask) {
  Ordered json = Ordered::object();
  PutTrue("causal", mask.causal(), &json);
  if (mask.alignment() != attention::v1::Mask::ALIGNMENT_UNSPECIFIED) {
    json["alignment"] =
        mask.alignment() == attention::v1::Mask::TOP_LEFT ? "top_left" : "bottom_right";
  }
  if (mask.has_window()) json["window"] = {mask.window().left(), mask.window().right()};
  PutList("q_lengths", mask.q_lengths(), &json);
  PutList("k_lengths", mask.k_lengths(), &json);
  PutList("cu_seqlens_q", mask.cu_seqlens_q(), &json);
  PutList("cu_seqlens_k", mask.cu_seqlens_k(), &json);
  return json;
}

Ordered MetadataJson(const attention::v1::CallMetadata& metadata) {
  Ordered json = Ordered::object();
  if (metadata.has_timestep()) json["timestep"] = metadata.timestep();
  if (metadata.has_layer()) json["layer"] = metadata.layer();
  if (metadata.has_grid()) {
    json["grid"] = {metadata.grid().t(), metadata.grid().h(), metadata.grid().w()};
  }
  if (metadata.text_length() != 0) json["text_length"] = metadata.text_length();
  PutText("caller_id", metadata.caller_id(), &json);
  return json;
}

Ordered OutputsJson(const attention::v1::Outputs& outputs) {
  Ordered json = Ordered::object();
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

Ordered OptionsJson(const attention::v1::AttendRequest& request) {
  Ordered json = Ordered::object();
  const absl::StatusOr<OptionMap> options = FromProto(request.options());
  if (!options.ok()) return json;  // No server takes them: not a call that was made.
  for (const auto& [key, value] : *options) json[key] = Ordered::parse(ToJson(value));
  return json;
}

void PutShapes(const std::vector<TensorSpec>& tensors, Ordered* json) {
  Ordered named = Ordered::object();
  for (const TensorSpec& tensor : tensors) {
    const bool input = tensor.name == "q" || tensor.name == "k" || tensor.name == "v";
    if (!input) {
      named[tensor.name] = {{"dtype", std::string(Name(tensor.dtype))}, {"shape", tensor.shape}};
      continue;
    }
    (*json)[tensor.name + "_shape"] = tensor.shape;
    PutText((tensor.name + "_pattern").c_str(), tensor.pattern, json);
    if (tensor.name == "q") (*json)["dtype"] = std::string(Name(tensor.dtype));
    if (tensor.heads != 0 && tensor.name != "v") {
      (*json)[tensor.name == "q" ? "heads" : "kv_heads"] = tensor.heads;
    }
  }
  PutObject("tensors", named, json);
}

}  // namespace

Ordered EntryToJson(const Entry& entry) {
  const attention::v1::AttendRequest& request = entry.request;
  Ordered json = Ordered::object();
  PutText("name", entry.name, &json);
  json["weight"] = entry.weight;
  PutShapes(entry.tensors, &json);
  PutText("backend", request.backend(), &json);
  PutList("allowed_backends", request.allowed_backends(), &json);
  PutText("model", request.model(), &json);
  PutText("preset", request.preset(), &json);
  PutTrue("allow_fallback", request.allow_fallback(), &json);
  PutTrue("allow_approximate", request.allow_approximate(), &json);
  if (request.has_scale()) json["scale"] = request.scale();
  PutObject("options", OptionsJson(request), &json);
  PutObject("mask", MaskJson(request.mask()), &json);
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
