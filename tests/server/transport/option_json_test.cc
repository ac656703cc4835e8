#include "server/transport/option_json.h"

#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/base/casts.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/core/limits.h"

namespace attn {
namespace {

using ::testing::HasSubstr;

OptionValue ListOf(OptionList values) { return OptionValue{std::move(values)}; }

struct Reading {
  const char* text;
  OptionValue value;
};

std::vector<Reading> Readings() {
  return {
      {"true", {true}},
      {"false", {false}},
      {"3", {int64_t{3}}},
      {" -17 ", {int64_t{-17}}},
      {"9223372036854775807", {std::numeric_limits<int64_t>::max()}},
      {"-9223372036854775808", {std::numeric_limits<int64_t>::min()}},
      {"0.5", {0.5}},
      {"3.0", {3.0}},
      {"1e3", {1000.0}},
      {"-0.0", {-0.0}},
      {"\"text\"", {std::string("text")}},
      {"\"3\"", {std::string("3")}},
      {"\"a\\n\\u00e9\"", {std::string("a\né")}},
      {"{\"tensor\": \"gate\"}", {TensorName{"gate"}}},
      {"[]", ListOf({})},
      {"[1, 2.0, \"x\", {\"tensor\": \"t\"}, [true]]",
       ListOf({{int64_t{1}}, {2.0}, {std::string("x")}, {TensorName{"t"}}, ListOf({{true}})})},
      {"[[[[1]]]]", ListOf({ListOf({ListOf({ListOf({{int64_t{1}}})})})})},
      // Words.
      {"topk", {std::string("topk")}},
      {"", {std::string()}},
      {"True", {std::string("True")}},
      {"3d", {std::string("3d")}},
      {"1, 2", {std::string("1, 2")}},
      {"nan", {std::string("nan")}},
      {" two words", {std::string(" two words")}},
  };
}

TEST(OptionFromTextTest, ReadsJsonAndWords) {
  for (const Reading& reading : Readings()) {
    const absl::StatusOr<OptionValue> value = OptionFromText(reading.text);
    ASSERT_TRUE(value.ok()) << reading.text << ": " << value.status();
    EXPECT_EQ(*value, reading.value) << reading.text << " read as " << ToJson(*value);
  }
}

TEST(OptionFromTextTest, RefusesWhatIsNoOption) {
  struct Case {
    const char* text;
    const char* error;
  };
  const Case cases[] = {
      {"null", "null is no option value"},
      {"[1, null]", "null is no option value"},
      {"9223372036854775808", "integer 9223372036854775808 exceeds 64 bits"},
      {"-9223372036854775809", "integer -9223372036854775809 exceeds 64 bits"},
      {"18446744073709551616", "integer 18446744073709551616 exceeds 64 bits"},
      {"[1, 100000000000000000000]", "integer 100000000000000000000 exceeds 64 bits"},
      {"1e400", "number 1e400 exceeds a double"},
      {"{}", "the only object allowed is {\"tensor\": \"name\"}"},
      {"{\"tensor\": 3}", "the only object allowed"},
      {"{\"tensor\": true}", "the only object allowed"},
      {"{\"tensor\": null}", "null is no option value"},
      {"{\"tensor\": [\"a\"]}", "the only object allowed"},
      {"{\"tensor\": {\"tensor\": \"a\"}}", "the only object allowed"},
      {"{\"name\": \"a\"}", "the only object allowed"},
      {"{\"tensor\": \"a\", \"tensor\": \"b\"}", "the only object allowed"},
      {"{\"tensor\": \"a\", \"b\": 1}", "the only object allowed"},
      {"[[[[[1]]]]]", "lists nest deeper than 4"},
      {"[1, 2", "not JSON at byte"},
      {" [1] x", "not JSON at byte"},
      {"{tensor: a}", "not JSON at byte"},
      {"\"open", "not JSON at byte"},
      {"\"\xff\"", "not JSON at byte"},
  };
  for (const Case& c : cases) {
    const absl::StatusOr<OptionValue> value = OptionFromText(c.text);
    EXPECT_EQ(value.status().code(), absl::StatusCode::kInvalidArgument) << c.text;
    EXPECT_THAT(std::string(value.status().message()), HasSubstr(c.error)) << c.text;
  }
}

TEST(OptionFromTextTest, DeepNestingIsRefusedBeforeItCosts) {
  const absl::StatusOr<OptionValue> value = OptionFromText(std::string(1'000'000, '['));
  EXPECT_THAT(std::string(value.status().message()), HasSubstr("lists nest deeper than 4"));
}

TEST(ToJsonTest, ReadsBackAsTheSameValue) {
  for (const Reading& reading : Readings()) {
    const absl::StatusOr<OptionValue> back = OptionFromText(ToJson(reading.value));
    ASSERT_TRUE(back.ok()) << ToJson(reading.value) << ": " << back.status();
    EXPECT_EQ(*back, reading.value) << ToJson(reading.value);
  }
}

TEST(ToJsonTest, WritesTheDocumentedForm) {
  EXPECT_EQ(ToJson({true}), "true");
  EXPECT_EQ(ToJson({int64_t{3}}), "3");
  EXPECT_EQ(ToJson({3.0}), "3.0");
  EXPECT_EQ(ToJson({0.1}), "0.1");
  EXPECT_EQ(ToJson({-0.0}), "-0.0");
  EXPECT_EQ(ToJson({1e300}), "1e+300");
  EXPECT_EQ(ToJson({std::string("a \"b\"\n")}), "\"a \\\"b\\\"\\n\"");
  EXPECT_EQ(ToJson({TensorName{"gate"}}), "{\"tensor\": \"gate\"}");
  EXPECT_EQ(ToJson(ListOf({{int64_t{1}}, ListOf({{2.5}})})), "[1, [2.5]]");
}

TEST(ToJsonTest, DoublesRoundTripBitByBit) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const double value = absl::bit_cast<double>(random());
    if (!(value - value == 0)) continue;  // Infinite or NaN.
    const absl::StatusOr<OptionValue> back = OptionFromText(ToJson({value}));
    ASSERT_TRUE(back.ok()) << back.status();
    ASSERT_EQ(absl::bit_cast<uint64_t>(std::get<double>(back->value)),
              absl::bit_cast<uint64_t>(value));
  }
}

}  // namespace
}  // namespace attn
