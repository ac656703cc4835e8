#include "client/load/entry_stages_json.h"

#include <cstdint>
#include <string>

#include "client/load/stage_names.h"
#include "kernels/core/status_macros.h"

namespace attn::load {
namespace {

using attention::v1::AttendRequest;

// Reads the object under `key` with `read`, if it is there.
template <typename Read>
absl::Status ReadObject(ObjectReader& entry, const char* key, const Read& read) {
  const nlohmann::json* object = entry.Find(key);
  if (object == nullptr) return absl::OkStatus();
  ObjectReader reader(*object, entry.PathOf(key));
  read(reader);
  return reader.Finish();
}

void ReadModifiers(ObjectReader& reader, attention::v1::ScoreModifiers* modifiers) {
  double softcap = 0;
  if (reader.Read("softcap", &softcap)) modifiers->set_softcap(softcap);
  reader.Read("bias", modifiers->mutable_bias());
  reader.Read("alibi_slopes", modifiers->mutable_alibi_slopes());
  reader.Read("sinks", modifiers->mutable_sinks());
}

void ReadRotary(ObjectReader& reader, attention::v1::Rotary* rotary) {
  size_t form = 0;
  if (reader.Read("form", NamesOf(kRotaryForms), &form)) rotary->set_form(kRotaryForms[form].value);
  reader.Read("cos", rotary->mutable_cos());
  reader.Read("sin", rotary->mutable_sin());
  int64_t offset = 0;
  if (reader.Read("q_offset", INT64_MIN, &offset)) rotary->set_q_offset(offset);
  if (reader.Read("k_offset", INT64_MIN, &offset)) rotary->set_k_offset(offset);
}

void ReadReplicated(ObjectReader& reader, attention::v1::ReplicatedTokens* replicated) {
  reader.Read("q", replicated->mutable_q());
  reader.Read("k", replicated->mutable_k());
  reader.Read("v", replicated->mutable_v());
}

void ReadSkipScores(ObjectReader& reader, attention::v1::SkipScores* skip) {
  size_t mode = 0;
  if (reader.Read("mode", NamesOf(kSkipModes), &mode)) skip->set_mode(kSkipModes[mode].value);
  reader.Read("sample_weights", skip->mutable_sample_weights());
}

void ReadGate(ObjectReader& reader, attention::v1::OutputGate* gate) {
  size_t form = 0;
  if (reader.Read("form", NamesOf(kGateForms), &form)) gate->set_form(kGateForms[form].value);
  reader.Read("tensor", gate->mutable_tensor());
}

OrderedJson ModifiersJson(const attention::v1::ScoreModifiers& modifiers) {
  OrderedJson json = OrderedJson::object();
  if (modifiers.has_softcap()) json["softcap"] = modifiers.softcap();
  PutText("bias", modifiers.bias(), &json);
  PutText("alibi_slopes", modifiers.alibi_slopes(), &json);
  PutText("sinks", modifiers.sinks(), &json);
  return json;
}

OrderedJson RotaryJson(const attention::v1::Rotary& rotary) {
  OrderedJson json = OrderedJson::object();
  PutText("form", NameOf(kRotaryForms, rotary.form()), &json);
  PutText("cos", rotary.cos(), &json);
  PutText("sin", rotary.sin(), &json);
  PutNumber("q_offset", rotary.q_offset(), &json);
  PutNumber("k_offset", rotary.k_offset(), &json);
  return json;
}

}  // namespace

absl::Status ReadStages(ObjectReader& entry, AttendRequest* request) {
  ATTN_RETURN_IF_ERROR(ReadObject(entry, "modifiers", [&](ObjectReader& reader) {
    ReadModifiers(reader, request->mutable_modifiers());
  }));
  ATTN_RETURN_IF_ERROR(ReadObject(entry, "rotary", [&](ObjectReader& reader) {
    ReadRotary(reader, request->mutable_rotary());
  }));
  ATTN_RETURN_IF_ERROR(ReadObject(entry, "replicated", [&](ObjectReader& reader) {
    ReadReplicated(reader, request->mutable_replicated());
  }));
  int64_t length = 0;
  if (entry.Read("original_seq_len", 0, &length)) request->set_original_seq_len(length);
  ATTN_RETURN_IF_ERROR(ReadObject(entry, "skip_scores", [&](ObjectReader& reader) {
    ReadSkipScores(reader, request->mutable_skip_scores());
  }));
  return ReadObject(entry, "gate",
                    [&](ObjectReader& reader) { ReadGate(reader, request->mutable_gate()); });
}

void PutStages(const AttendRequest& request, OrderedJson* to) {
  PutObject("modifiers", ModifiersJson(request.modifiers()), to);
  if (request.has_rotary()) (*to)["rotary"] = RotaryJson(request.rotary());
  if (request.has_replicated()) {
    (*to)["replicated"] = {{"q", request.replicated().q()},
                           {"k", request.replicated().k()},
                           {"v", request.replicated().v()}};
  }
  PutNumber("original_seq_len", request.original_seq_len(), to);
  if (request.has_skip_scores()) {
    OrderedJson& skip = (*to)["skip_scores"] = OrderedJson::object();
    PutText("mode", NameOf(kSkipModes, request.skip_scores().mode()), &skip);
    PutText("sample_weights", request.skip_scores().sample_weights(), &skip);
  }
  if (request.has_gate()) {
    OrderedJson& gate = (*to)["gate"] = OrderedJson::object();
    PutText("form", NameOf(kGateForms, request.gate().form()), &gate);
    PutText("tensor", request.gate().tensor(), &gate);
  }
}

}  // namespace attn::load
