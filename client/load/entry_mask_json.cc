#include "client/load/entry_mask_json.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/load/object_reader.h"
#include "server/transport/mask_json.h"

namespace attn::load {
namespace {

using attention::v1::Mask;

void ReadExpression(ObjectReader& reader, Mask* mask) {
  if (const nlohmann::json* json = reader.Find("expression")) {
    absl::StatusOr<attention::v1::MaskExpression> expression = ParseMaskJson(json->dump());
    if (expression.ok()) {
      *mask->mutable_expression() = *std::move(expression);
    } else {
      reader.Refuse(absl::InvalidArgumentError(
          absl::StrCat(reader.PathOf("expression"), ": ", expression.status().message())));
    }
  }
  int64_t offset = 0;
  if (reader.Read("q_offset", INT64_MIN, &offset)) mask->set_q_offset(offset);
  if (reader.Read("kv_offset", INT64_MIN, &offset)) mask->set_kv_offset(offset);
}

}  // namespace

absl::Status ReadMask(const nlohmann::json& object, const std::string& where, Mask* mask) {
  ObjectReader reader(object, where);
  bool causal = false;
  if (reader.Read("causal", &causal)) mask->set_causal(causal);
  size_t alignment = 0;
  if (reader.Read("alignment", {"top_left", "bottom_right"}, &alignment)) {
    mask->set_alignment(alignment == 0 ? Mask::TOP_LEFT : Mask::BOTTOM_RIGHT);
  }
  std::vector<int64_t> window;
  if (reader.Read("window", -1, &window)) {
    if (window.size() == 2) {
      mask->mutable_window()->set_left(window[0]);
      mask->mutable_window()->set_right(window[1]);
    } else {
      reader.Refuse("window", "[left, right], -1 = unbounded");
    }
  }
  std::vector<int64_t> numbers;
  const auto read_list = [&](const char* key, auto* to) {
    if (reader.Read(key, 0, &numbers)) to->Assign(numbers.begin(), numbers.end());
  };
  read_list("q_lengths", mask->mutable_q_lengths());
  read_list("k_lengths", mask->mutable_k_lengths());
  read_list("cu_seqlens_q", mask->mutable_cu_seqlens_q());
  read_list("cu_seqlens_k", mask->mutable_cu_seqlens_k());
  ReadExpression(reader, mask);
  return reader.Finish();
}

OrderedJson MaskToJson(const Mask& mask) {
  OrderedJson json = OrderedJson::object();
  PutTrue("causal", mask.causal(), &json);
  if (mask.alignment() != Mask::ALIGNMENT_UNSPECIFIED) {
    json["alignment"] = mask.alignment() == Mask::TOP_LEFT ? "top_left" : "bottom_right";
  }
  if (mask.has_window()) json["window"] = {mask.window().left(), mask.window().right()};
  PutList("q_lengths", mask.q_lengths(), &json);
  PutList("k_lengths", mask.k_lengths(), &json);
  PutList("cu_seqlens_q", mask.cu_seqlens_q(), &json);
  PutList("cu_seqlens_k", mask.cu_seqlens_k(), &json);
  if (mask.has_expression()) json["expression"] = OrderedJson::parse(MaskJson(mask.expression()));
  PutNumber("q_offset", mask.q_offset(), &json);
  PutNumber("kv_offset", mask.kv_offset(), &json);
  return json;
}

}  // namespace attn::load
