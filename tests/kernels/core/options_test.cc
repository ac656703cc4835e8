#include "kernels/core/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "kernels/core/limits.h"

namespace attn {
namespace {

using ::testing::HasSubstr;

absl::Status CheckBlock(const OptionValue& value) {
  const int64_t block = std::get<int64_t>(value.value);
  return block >= 16 && block <= 256
             ? absl::OkStatus()
             : absl::InvalidArgumentError(absl::StrCat("is ", block, ", allowed: 16 to 256"));
}

constexpr OptionSpec kSpecs[] = {
    {"block_q", OptionType::kInt, "64", "16 to 256", "", CheckBlock},
    {"ratio", OptionType::kFloat, "0.5", "0 to 1", "", nullptr},
    {"causal", OptionType::kBool, "false", "true or false", "", nullptr},
    {"rule", OptionType::kString, "\"grid\"", "a rule", "", nullptr},
    {"gate", OptionType::kTensor, "", "a tensor", "", nullptr},
    {"levels", OptionType::kList, "", "lists", "", nullptr},
};

// `depth` lists around a number.
OptionValue Nested(int depth) {
  OptionValue value = {int64_t{1}};
  for (int i = 0; i < depth; ++i) value = {OptionList{value}};
  return value;
}

TEST(ValidateOptions, TakesEveryTypeWhereItIsDeclared) {
  const OptionMap options = {{"block_q", {int64_t{16}}},  {"ratio", {0.25}},
                             {"causal", {true}},          {"rule", {std::string("grid")}},
                             {"gate", {TensorName{"g"}}}, {"levels", Nested(kMaxOptionDepth)}};
  EXPECT_TRUE(ValidateOptions("vsa", options, kSpecs).ok());
  EXPECT_TRUE(ValidateOptions("vsa", {}, kSpecs).ok());
  EXPECT_TRUE(ValidateOptions("vsa", {{"ratio", {int64_t{1}}}}, kSpecs).ok());
}

struct OptionRefusalCase {
  std::string name;
  OptionMap options;
  std::string text;
};

TEST(ValidateOptions, RefusesByNameAndSaysWhatIsAllowed) {
  const OptionRefusalCase cases[] = {
      {"unknown, near",
       {{"blok_q", {int64_t{16}}}},
       "vsa: unknown option 'blok_q'; did you mean 'block_q'? known: block_q, ratio, causal"},
      {"unknown, far", {{"temperature", {0.5}}}, "vsa: unknown option 'temperature'; known: "},
      {"unknown, hostile", {{"\x1b[2J", {0.5}}}, R"(vsa: unknown option '\x1b[2J')"},
      {"value", {{"block_q", {int64_t{8}}}}, "vsa: option 'block_q': is 8, allowed: 16 to 256"},
      {"a float is no int",
       {{"block_q", {16.0}}},
       "vsa: option 'block_q' is of type float, allowed: int, 16 to 256"},
      {"an int is no bool", {{"causal", {int64_t{1}}}}, "is of type int, allowed: bool"},
      {"a bool is no float", {{"ratio", {true}}}, "is of type bool, allowed: float, 0 to 1"},
      {"a string is no tensor", {{"gate", {std::string("g")}}}, "is of type string"},
      {"a tensor is no string", {{"rule", {TensorName{"g"}}}}, "is of type tensor"},
      {"a number is no list", {{"levels", {int64_t{1}}}}, "is of type int, allowed: list"},
      {"deep lists",
       {{"levels", Nested(kMaxOptionDepth + 1)}},
       "option 'levels' nests lists more than 4 deep"},
  };
  for (const OptionRefusalCase& refusal : cases) {
    SCOPED_TRACE(refusal.name);
    const absl::Status status = ValidateOptions("vsa", refusal.options, kSpecs);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(refusal.text));
  }
}

TEST(ValidateOptions, BoundsTheirNumber) {
  OptionMap options;
  for (int64_t i = 0; i <= kMaxOptionsPerCall; ++i) options[absl::StrCat(i)] = {true};
  EXPECT_EQ(ValidateOptions("vsa", options, kSpecs),
            absl::InvalidArgumentError("vsa: 65 options, allowed: at most 64"));
}

TEST(IntOption, GivesTheValueOrTheDefault) {
  const OptionMap options = {{"block_q", {int64_t{32}}}};
  EXPECT_EQ(IntOption(options, "block_q", 64), 32);
  EXPECT_EQ(IntOption(options, "block_k", 64), 64);
}

absl::Status IsContext(const OptionValue& value, const void* context) {
  if (value == *static_cast<const OptionValue*>(context)) return absl::OkStatus();
  return absl::InvalidArgumentError("another one is allowed");
}

TEST(ValidateOptions, ChecksWithTheContextOfTheDeclaration) {
  const OptionValue allowed{int64_t{3}};
  const OptionSpec specs[] = {
      {"n", OptionType::kInt, "", "3", "Of the test.", nullptr, IsContext, &allowed}};
  EXPECT_TRUE(ValidateOptions("b", {{"n", {int64_t{3}}}}, specs).ok());
  EXPECT_EQ(std::string(ValidateOptions("b", {{"n", {int64_t{4}}}}, specs).message()),
            "b: option 'n': another one is allowed");
}

}  // namespace
}  // namespace attn
