#include "tests/fuzz/wire_samples.h"

#include "proto/attention/v1/attention.pb.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

constexpr uint32_t kBytes = 2;

v1::AttendRequest SmallRequest() {
  v1::AttendRequest request;
  request.set_model("wan");
  request.mutable_metadata()->set_timestep(3);
  request.mutable_metadata()->mutable_grid()->set_t(2);
  request.mutable_mask()->set_causal(true);
  request.mutable_mask()->add_q_lengths(300);
  request.mutable_mask()->add_q_lengths(-1);
  v1::MaskExpression* mask = request.mutable_mask()->mutable_expression();
  mask->mutable_all_of()->add_args()->mutable_packed()->set_ids("ids");
  mask->mutable_all_of()->add_args()->mutable_negation()->mutable_prefix()->set_length(300);
  mask->mutable_all_of()->add_args()->mutable_function()->add_arguments(-0.5);
  request.mutable_mask()->set_kv_offset(-1);
  request.mutable_modifiers()->set_bias("bias");
  request.mutable_rotary()->set_form(v1::Rotary::FULL);
  request.mutable_replicated()->set_k("text");
  request.set_original_seq_len(150);
  request.mutable_skip_scores()->set_mode(v1::SkipScores::VALUE);
  request.mutable_gate()->set_tensor("gate");
  request.set_scale(0.125);
  request.add_allowed_backends("flash");
  request.add_allowed_backends("eager");
  (*request.mutable_options())["mode"].set_string_value("topk");
  v1::OptionList* list = (*request.mutable_options())["ratios"].mutable_list();
  list->add_values()->mutable_list()->add_values()->set_double_value(0.5);
  request.mutable_outputs()->set_lse(true);
  return request;
}

void AddTensor(const char* name, const std::string& data, v1::AttendRequest* request) {
  v1::Tensor* tensor = request->add_tensors();
  tensor->set_name(name);
  tensor->set_dtype(v1::DATA_TYPE_BF16);
  for (const int64_t dim : {1, 2, 200, 4}) tensor->add_shape(dim);
  tensor->set_pattern("b h s d");
  tensor->set_data(data);
}

v1::AttendRequest FullRequest() {
  v1::AttendRequest request = SmallRequest();
  AddTensor("q", std::string(200, 'q'), &request);
  AddTensor("k", std::string(130, '\x80'), &request);
  AddTensor("v", std::string(3, '\0'), &request);
  return request;
}

std::string TensorField(const std::string& content) { return Field(32, content); }

}  // namespace

std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes += static_cast<char>(value);
}

std::string Tag(uint32_t field, uint32_t wire_type) {
  return Varint(static_cast<uint64_t>(field) << 3 | wire_type);
}

std::string Field(uint32_t field, const std::string& content) {
  return Tag(field, kBytes) + Varint(content.size()) + content;
}

std::vector<WireSample> AcceptedSamples() {
  using std::string_literals::operator""s;
  v1::AttendRequest one_tensor;
  AddTensor("q", "payload", &one_tensor);
  const std::string model = Field(1, "m");
  const std::string q = TensorField(Field(1, "q") + Field(15, "12345"));
  return {
      {"empty message", ""},
      {"small fields", SmallRequest().SerializeAsString()},
      {"one tensor", one_tensor.SerializeAsString()},
      {"full request", FullRequest().SerializeAsString()},
      {"empty tensor", TensorField("")},
      {"tensor without data", TensorField(Field(1, "q"))},
      {"tensor of data alone", TensorField(Field(15, "abc"))},
      {"data first", TensorField(Field(15, "abc") + Field(1, "q"))},
      {"data between", TensorField(Field(1, "q") + Field(15, "abc") + Field(4, "b h s d"))},
      {"data twice", TensorField(Field(15, "abc") + Field(1, "q") + Field(15, "defgh"))},
      {"data twice, then empty", TensorField(Field(15, "abc") + Field(15, ""))},
      {"name twice", TensorField(Field(1, "q") + Field(1, "k") + Field(15, "x"))},
      {"small fields among tensors", q + model + q + Field(6, "flash") + q},
      {"field 32 as varint", Tag(32, 0) + Varint(7) + q},
      {"field 32 as fixed64", q + Tag(32, 1) + "12345678"},
      {"field 32 as fixed32", Tag(32, 5) + "1234" + q},
      {"data as varint", TensorField(Tag(15, 0) + Varint(9) + Field(15, "x"))},
      {"data as fixed64", TensorField(Tag(15, 1) + "12345678")},
      {"data as fixed32", TensorField(Field(15, "x") + Tag(15, 5) + "1234")},
      {"unknown fields", Tag(1000, 0) + Varint(1) + Tag(1001, 1) + "12345678" + Field(1002, "u") +
                             Tag(536870911, 5) + "1234"},
      {"unknown fields of a tensor", TensorField(Tag(99, 0) + Varint(1) + Field(98, "u"))},
      {"unpacked shape", TensorField(Tag(3, 0) + Varint(2) + Tag(3, 0) + Varint(5))},
      {"tag of five bytes", "\x82\x82\x80\x80\x00"s + "\x03" + Field(15, "x")},
      {"tag with bits beyond 32", "\x82\x82\x80\x80\x70"s + "\x03" + Field(15, "x")},
      {"length of five bytes", Tag(32, kBytes) + "\x83\x80\x80\x80\x00"s + Field(15, "x")},
      {"varint of ten bytes", Tag(9, 0) + "\x81\x80\x80\x80\x80\x80\x80\x80\x80\x7f"s},
      {"group inside a small field", Field(4, Tag(50, 3) + Tag(1, 0) + Varint(1) + Tag(50, 4))},
  };
}

std::vector<RefusedSample> RefusedSamples() {
  using std::string_literals::operator""s;
  const std::string eleven(11, '\xff');
  const std::string model = Field(1, "model");  // Seven bytes.
  return {
      {"tag alone", Tag(1, kBytes),
       "malformed message at byte 1: length is cut off by the end at byte 1"},
      {"half a tag", model + "\x82"s,
       "malformed message at byte 7: tag is cut off by the end at byte 8"},
      {"tag of six bytes", "\x82\x80\x80\x80\x80\x00"s,
       "malformed message at byte 0: tag is longer than 5 bytes"},
      {"field number 0", model + "\x02\x01x"s, "malformed message at byte 7: field number 0"},
      {"zero byte", "\0"s, "malformed message at byte 0: field number 0"},
      {"wire type 6", model + Tag(5, 6),
       "malformed message at byte 7: field 5 has the unknown wire type 6"},
      {"wire type 7", Tag(32, 7),
       "malformed message at byte 0: field 32 has the unknown wire type 7"},
      {"half a varint", Tag(9, 0) + "\xff"s,
       "malformed message at byte 1: varint is cut off by the end at byte 2"},
      {"varint of eleven bytes", Tag(9, 0) + eleven,
       "malformed message at byte 1: varint is longer than 10 bytes"},
      {"short fixed64", Tag(5, 1) + "1234567",
       "malformed message at byte 0: field 5 of 8 bytes, but only 7 are left of its message"},
      {"short fixed32", Tag(5, 5) + "123",
       "malformed message at byte 0: field 5 of 4 bytes, but only 3 are left of its message"},
      {"short string", model + Tag(2, kBytes) + Varint(5) + "1234",
       "malformed message at byte 7: field 2 of 5 bytes, but only 4 are left of its message"},
      {"length of six bytes", Tag(2, kBytes) + "\x80\x80\x80\x80\x80\x00"s,
       "malformed message at byte 1: length is longer than 5 bytes"},
      {"length of 2 GiB", Tag(2, kBytes) + Varint(uint64_t{1} << 31),
       "malformed message at byte 0: length 2147483648 of field 2 exceeds 2147483631"},
      {"length just too large", Tag(32, kBytes) + Varint(2147483632),
       "malformed message at byte 0: length 2147483632 of field 32 exceeds 2147483631"},
      {"largest length", Tag(32, kBytes) + Varint(2147483631),
       "malformed message at byte 0: field 32 of 2147483631 bytes, but only 0 are left of its "
       "message"},
      {"short tensor", Tag(32, kBytes) + Varint(4) + Field(1, "q"),
       "malformed message at byte 0: field 32 of 4 bytes, but only 3 are left of its message"},
      {"data beyond its tensor", TensorField(Tag(15, kBytes) + Varint(3) + "ab") + "cd",
       "malformed message at byte 3: field 15 of 3 bytes, but only 2 are left of its message"},
      {"tag across the end of a tensor", TensorField("\x82"s) + "\x01",
       "malformed message at byte 3: tag is cut off by the end at byte 4"},
      {"varint across the end of a tensor", TensorField(Tag(2, 0) + "\x80"s) + "\x01",
       "malformed message at byte 4: varint is cut off by the end at byte 5"},
      {"field number 0 in a tensor", TensorField("\x02\x00"s),
       "malformed message at byte 3: field number 0"},
      {"name of a tensor not UTF-8", model + TensorField(Field(1, "\xff")),
       "malformed message at byte 10: fields of tensor 0 are no valid Tensor (name and pattern "
       "are UTF-8)"},
      {"shape of a tensor cut off", TensorField("") + TensorField(Field(3, "\xff")),
       "malformed message at byte 6: fields of tensor 1 are no valid Tensor (name and pattern "
       "are UTF-8)"},
      {"group", model + Tag(5, 3) + Tag(5, 4),
       "malformed message at byte 7: field 5 is a group; groups are not accepted"},
      {"tensors as group", Tag(32, 3) + Tag(32, 4),
       "malformed message at byte 0: field 32 is a group; groups are not accepted"},
      {"end of a group", Tag(5, 4),
       "malformed message at byte 0: field 5 is a group; groups are not accepted"},
      {"group in a tensor", TensorField(Tag(7, 3) + Tag(7, 4)),
       "malformed message at byte 3: field 7 is a group; groups are not accepted"},
  };
}

}  // namespace attn
