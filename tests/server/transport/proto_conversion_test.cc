#include "server/transport/proto_conversion.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "kernels/core/limits.h"
#include "tests/fuzz/wire_samples.h"

namespace attn {
namespace {

namespace v1 = attention::v1;
using ::testing::HasSubstr;

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

template <typename T>
void ExpectInvalid(const absl::StatusOr<T>& result, const std::string& error) {
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument) << error;
  EXPECT_THAT(std::string(result.status().message()), HasSubstr(error));
}

TEST(DTypeConversionTest, EveryDTypeRoundTrips) {
  for (const DType dtype : kAllDTypes) {
    const absl::StatusOr<DType> back = FromProto("q", ToProto(dtype));
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(*back, dtype);
  }
}

TEST(DTypeConversionTest, EveryNamedValueIsKnown) {
  for (int value = 1; value < v1::DataType_ARRAYSIZE; ++value) {
    ASSERT_TRUE(v1::DataType_IsValid(value));
    const absl::StatusOr<DType> dtype = FromProto("q", static_cast<v1::DataType>(value));
    ASSERT_TRUE(dtype.ok()) << dtype.status();
    EXPECT_EQ(ToProto(*dtype), value);
  }
}

TEST(DTypeConversionTest, RefusesOthersNamingTheField) {
  ExpectInvalid(FromProto("k", v1::DATA_TYPE_UNSPECIFIED), "k: dtype is not given, known: ");
  ExpectInvalid(FromProto("out", static_cast<v1::DataType>(99)),
                "out: dtype 99 is unknown, known: DATA_TYPE_FP32, DATA_TYPE_FP16, ");
}

TEST(MaskConversionTest, RoundTrips) {
  for (const char* text : {
           "",
           "causal: true",
           "causal: true alignment: TOP_LEFT",
           "window { left: 3 right: -1 } alignment: BOTTOM_RIGHT",
           "window {}",
           "causal: true window { left: -1 right: 4 } q_lengths: 3 k_lengths: 0 k_lengths: 9",
           "cu_seqlens_q: 0 cu_seqlens_q: 5 cu_seqlens_k: 0 cu_seqlens_k: 7",
       }) {
    const v1::Mask mask = Parse<v1::Mask>(text);
    const absl::StatusOr<MaskSpec> spec = FromProto(mask);
    ASSERT_TRUE(spec.ok()) << text << ": " << spec.status();
    EXPECT_EQ(ToProto(*spec).DebugString(), mask.DebugString());
  }
}

TEST(MaskConversionTest, ReadsEveryPart) {
  const absl::StatusOr<MaskSpec> spec = FromProto(Parse<v1::Mask>(
      "causal: true alignment: TOP_LEFT window { left: 1 right: 2 } q_lengths: 3 k_lengths: 4 "
      "cu_seqlens_q: 5 cu_seqlens_k: 6"));
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_TRUE(spec->causal);
  EXPECT_EQ(spec->alignment, CausalAlignment::kTopLeft);
  ASSERT_TRUE(spec->window.has_value());
  EXPECT_EQ(spec->window->left, 1);
  EXPECT_EQ(spec->window->right, 2);
  EXPECT_EQ(spec->q_lengths, std::vector<int64_t>{3});
  EXPECT_EQ(spec->k_lengths, std::vector<int64_t>{4});
  EXPECT_EQ(spec->cu_seqlens_q, std::vector<int64_t>{5});
  EXPECT_EQ(spec->cu_seqlens_k, std::vector<int64_t>{6});
}

TEST(MaskConversionTest, RefusesAlignmentOfNothingAndUnknownOnes) {
  ExpectInvalid(FromProto(Parse<v1::Mask>("alignment: TOP_LEFT q_lengths: 1")),
                "mask.alignment TOP_LEFT without mask.causal or mask.window");
  v1::Mask mask;
  mask.set_causal(true);
  mask.set_alignment(static_cast<v1::Mask::Alignment>(7));
  ExpectInvalid(FromProto(mask), "mask.alignment 7 is unknown, known: TOP_LEFT (1)");
}

// `depth` lists around the number 1.
v1::OptionValue NestedValue(int depth) {
  v1::OptionValue value;
  if (depth == 0) {
    value.set_int64_value(1);
  } else {
    *value.mutable_list()->add_values() = NestedValue(depth - 1);
  }
  return value;
}

TEST(OptionConversionTest, EveryKindRoundTrips) {
  const v1::AttendRequest request = Parse<v1::AttendRequest>(R"(
    options { key: "bool" value { bool_value: false } }
    options { key: "int" value { int64_value: -3 } }
    options { key: "double" value { double_value: 0.5 } }
    options { key: "string" value { string_value: "" } }
    options { key: "tensor" value { tensor: "gate" } }
    options { key: "empty" value { list {} } }
    options { key: "list" value { list { values { int64_value: 1 }
                                         values { list { values { tensor: "t" } } } } } })");
  const absl::StatusOr<OptionMap> options = FromProto(request.options());
  ASSERT_TRUE(options.ok()) << options.status();
  const OptionMap expected = {
      {"bool", {false}},
      {"int", {int64_t{-3}}},
      {"double", {0.5}},
      {"string", {std::string()}},
      {"tensor", {TensorName{"gate"}}},
      {"empty", {OptionList{}}},
      {"list", {OptionList{{int64_t{1}}, {OptionList{{TensorName{"t"}}}}}}},
  };
  EXPECT_EQ(*options, expected);

  v1::AttendRequest back;
  (*back.mutable_options())["stale"].set_bool_value(true);
  ToProto(*options, back.mutable_options());
  EXPECT_EQ(*FromProto(back.options()), expected);
}

TEST(OptionConversionTest, BoundsNestingAndCount) {
  v1::AttendRequest request;
  (*request.mutable_options())["deep"] = NestedValue(kMaxOptionDepth);
  EXPECT_TRUE(FromProto(request.options()).ok());
  (*request.mutable_options())["deep"] = NestedValue(kMaxOptionDepth + 1);
  ExpectInvalid(FromProto(request.options()), "lists nest deeper than 4");

  request.clear_options();
  for (int i = 0; i < kMaxOptionsPerCall; ++i) {
    (*request.mutable_options())[std::to_string(i)].set_bool_value(true);
  }
  EXPECT_TRUE(FromProto(request.options()).ok());
  (*request.mutable_options())["more"].set_bool_value(true);
  ExpectInvalid(FromProto(request.options()), "options has 65 entries, at most 64 are allowed");
}

TEST(OptionConversionTest, RefusesEmptyAndInfiniteValuesNamingTheOption) {
  v1::AttendRequest request;
  (*request.mutable_options())["mode"];
  ExpectInvalid(FromProto(request.options()), "no value is set");
  ExpectInvalid(FromProto(request.options()), "mode");
  request.mutable_options()->clear();
  (*request.mutable_options())["list"].mutable_list()->add_values();
  ExpectInvalid(FromProto(request.options()), "no value is set");
  for (const double value : {std::numeric_limits<double>::infinity(), std::nan("")}) {
    request.mutable_options()->clear();
    (*request.mutable_options())["ratio"].set_double_value(value);
    ExpectInvalid(FromProto(request.options()), "is not finite");
  }
}

TEST(MetadataConversionTest, ReadsEveryField) {
  const absl::StatusOr<TokenMetadata> metadata = FromProto(
      Parse<v1::CallMetadata>("timestep: 0 layer: 3 grid { t: 2 h: 3 w: 4 } text_length: 5"), 24);
  ASSERT_TRUE(metadata.ok()) << metadata.status();
  EXPECT_EQ(metadata->timestep, 0);
  EXPECT_EQ(metadata->layer, 3);
  EXPECT_EQ(metadata->grid, (std::array<int64_t, 3>{2, 3, 4}));
  EXPECT_EQ(metadata->text_length, 5);
}

TEST(MetadataConversionTest, AbsentFieldsStayAbsent) {
  const absl::StatusOr<TokenMetadata> metadata = FromProto(v1::CallMetadata(), 24);
  ASSERT_TRUE(metadata.ok()) << metadata.status();
  EXPECT_FALSE(metadata->timestep.has_value());
  EXPECT_FALSE(metadata->layer.has_value());
  EXPECT_FALSE(metadata->grid.has_value());
  EXPECT_EQ(metadata->text_length, 0);
}

TEST(MetadataConversionTest, RefusesWhatCannotBe) {
  struct Case {
    const char* text;
    const char* error;
  };
  const Case cases[] = {
      {"timestep: -1", "metadata.timestep is -1, at least 0 is required"},
      {"layer: -2", "metadata.layer is -2, at least 0 is required"},
      {"text_length: -3", "metadata.text_length is -3, at least 0 is required"},
      {"grid { t: 1 h: 1 }", "metadata.grid.w is 0, at least 1 is required"},
      {"grid { t: -1 h: 1 w: -1 }", "metadata.grid.t is -1, at least 1 is required"},
      {"grid { t: 1 h: 5 w: 5 }", "metadata.grid 1 x 5 x 5 exceeds the 24 query tokens"},
      {"grid { t: 4294967296 h: 4294967296 w: 1 }", "exceeds the 24 query tokens"},
  };
  for (const Case& c : cases)
    ExpectInvalid(FromProto(Parse<v1::CallMetadata>(c.text), 24), c.error);
}

TEST(FindUnknownFieldTest, FindsThemAtEveryDepth) {
  const std::string unknown = Tag(99, 0) + Varint(1);
  const std::string value = Field(6, Field(1, unknown));  // A list with a value.
  struct Case {
    std::string bytes;
    const char* found;
  };
  const Case cases[] = {
      {"", ""},
      {Field(1, "model") + Field(4, Tag(1, 0) + Varint(1)), ""},
      {unknown, "AttendRequest.99"},
      {Tag(32, 0) + Varint(1), "AttendRequest.32"},
      {Field(4, unknown), "Mask.99"},
      {Field(4, Field(3, unknown)), "Window.99"},
      {Field(3, Field(3, Tag(4, 5) + "1234")), "Grid.4"},
      {Field(8, Field(1, "mode") + Field(2, unknown)), "OptionValue.99"},
      {Field(8, Field(1, "mode") + Field(2, value)), "OptionValue.99"},
      {Field(32, Field(1, "q")) + Field(32, Field(14, "x")), "Tensor.14"},
  };
  for (const Case& c : cases) {
    v1::AttendRequest request;
    ASSERT_TRUE(request.ParseFromString(c.bytes)) << c.found;
    EXPECT_EQ(FindUnknownField(request), c.found);
  }
}

}  // namespace
}  // namespace attn
