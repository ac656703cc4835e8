#include "client/golden/golden_case.h"

#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/golden/test_files.h"

namespace attn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(GoldenCaseTest, ReadsEveryFileOfTheSet) {
  const std::vector<std::string> files = GoldenFiles();
  ASSERT_FALSE(files.empty());
  for (const std::string& path : files) {
    const absl::StatusOr<GoldenCase> golden_case = ReadGoldenCase(path);
    EXPECT_TRUE(golden_case.ok()) << golden_case.status();
  }
}

TEST(GoldenCaseTest, ReadsWhatTheJsonSays) {
  SmallCase small;
  small.json["options"] = {{"scale", 0.5},
                           {"causal", true},
                           {"block", 64},
                           {"softcap", nullptr},
                           {"gate", "v"},
                           {"mode", "topk"},
                           {"windows", {{1, 2}, {3, 4}}},
                           {"mask_expr", {{"op", "causal"}}}};
  small.json["run_dtype"] = "fp16";
  small.json["expected"][0]["rows"] = 3;
  small.json["expected"][1]["with"] = {{"quantised", true}};
  const absl::StatusOr<GoldenCase> read = ReadGoldenCase(small.Write("small"));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->name, "small");
  EXPECT_EQ(read->area, "test");
  EXPECT_EQ(read->kind, "call");
  EXPECT_EQ(read->backend, "vsa");
  EXPECT_EQ(read->layout, "b h s d");
  EXPECT_EQ(read->run_dtype, "fp16");
  EXPECT_THAT(read->inputs, ElementsAre("q", "k", "v"));
  EXPECT_THAT(read->prefixes, ElementsAre(""));
  const OptionMap options = {
      {"scale", {0.5}},
      {"causal", {true}},
      {"block", {int64_t{64}}},
      {"gate", {TensorName{"v"}}},
      {"mode", {std::string("topk")}},
      {"windows",
       {OptionList{{OptionList{{int64_t{1}}, {int64_t{2}}}},
                   {OptionList{{int64_t{3}}, {int64_t{4}}}}}}},
      {"mask_expr", {std::string(R"({"op":"causal"})")}},
  };
  EXPECT_EQ(read->options, options);
  ASSERT_EQ(read->expected.size(), 3U);
  EXPECT_EQ(read->expected[0].rel_l2, 1e-5);
  EXPECT_EQ(read->expected[0].rows, 3);
  EXPECT_EQ(read->expected[1].with, (OptionMap{{"quantised", {true}}}));
  EXPECT_FALSE(read->expected[1].rel_l2.has_value());
  EXPECT_TRUE(read->expected[2].exact);
}

TEST(GoldenCaseTest, PrefixedTensorsGoBeforeSharedOnes) {
  const absl::StatusOr<GoldenCase> real = ReadGoldenCase(GoldenFile("real/minilm_two_sentences"));
  ASSERT_TRUE(real.ok()) << real.status();
  EXPECT_EQ(real->prefixes.size(), 6U);
  EXPECT_EQ(real->options.at("k_lengths"), OptionValue{TensorName{"key_lengths"}});
  EXPECT_EQ(real->Find("layers.3.", "q"), real->file.Find("layers.3.q"));
  EXPECT_EQ(real->Find("layers.3.", "key_lengths"), real->file.Find("key_lengths"));
  EXPECT_EQ(real->Find("layers.9.", "q"), nullptr);
}

struct BadCase {
  const char* name;
  std::function<void(SmallCase&)> spoil;
  const char* complaint;
};

class BadCaseTest : public testing::TestWithParam<BadCase> {};

TEST_P(BadCaseTest, IsRefusedWithTheKey) {
  SmallCase small;
  GetParam().spoil(small);
  const absl::StatusOr<GoldenCase> read = ReadGoldenCase(small.Write("bad"));
  EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument) << read.status();
  EXPECT_THAT(std::string(read.status().message()), HasSubstr(GetParam().complaint));
}

INSTANTIATE_TEST_SUITE_P(
    GoldenCaseTest, BadCaseTest,
    testing::Values(
        BadCase{"UnknownKey", [](SmallCase& c) { c.json["retries"] = 1; }, "'retries'"},
        BadCase{"MissingName", [](SmallCase& c) { c.json.erase("name"); }, "name"},
        BadCase{"MissingBackend", [](SmallCase& c) { c.json.erase("backend"); }, "backend"},
        BadCase{"NullLayout", [](SmallCase& c) { c.json["layout"] = nullptr; }, "layout"},
        BadCase{"MissingOptions", [](SmallCase& c) { c.json.erase("options"); }, "options"},
        BadCase{"OptionsList", [](SmallCase& c) { c.json["options"] = {1}; }, "options"},
        BadCase{"UnknownKind", [](SmallCase& c) { c.json["kind"] = "test"; }, "kind 'test'"},
        BadCase{"UnknownRunDType", [](SmallCase& c) { c.json["run_dtype"] = "fp8"; }, "run_dtype"},
        BadCase{"NoInputs", [](SmallCase& c) { c.json.erase("inputs"); }, "inputs"},
        BadCase{"InputTwice",
                [](SmallCase& c) {
                  c.json["inputs"] = {"q", "q"};
                },
                "inputs"},
        BadCase{"InputNotInTheFile", [](SmallCase& c) { c.json["inputs"].push_back("bias"); },
                "'bias'"},
        BadCase{"NothingExpected",
                [](SmallCase& c) { c.json["expected"] = nlohmann::json::array(); }, "expected"},
        BadCase{"UnknownOutput", [](SmallCase& c) { c.json["expected"][0]["output"] = "o"; },
                "output 'o'"},
        BadCase{"UnknownExpectedKey", [](SmallCase& c) { c.json["expected"][0]["atol"] = 1; },
                "'atol'"},
        BadCase{"HeldToNothing", [](SmallCase& c) { c.json["expected"][1].erase("max_abs"); },
                "held to anything"},
        BadCase{"NegativeTolerance", [](SmallCase& c) { c.json["expected"][0]["rel_l2"] = -1; },
                "rel_l2"},
        BadCase{"InexactPlan",
                [](SmallCase& c) {
                  c.json["expected"][2] = {
                      {"output", "plan"}, {"tensor", "plan_levels"}, {"max_abs", 0.5}};
                },
                "plan"},
        BadCase{"NegativeRows", [](SmallCase& c) { c.json["expected"][0]["rows"] = -1; }, "rows"},
        BadCase{"NullWith",
                [](SmallCase& c) {
                  c.json["expected"][0]["with"] = {{"sparsity", nullptr}};
                },
                "with"},
        BadCase{"ExpectedTensorNotInTheFile",
                [](SmallCase& c) { c.json["expected"][0]["tensor"] = "out_bf16"; }, "'out_bf16'"},
        BadCase{"PrefixWithoutTensors",
                [](SmallCase& c) {
                  c.json["prefixes"] = {"", "layers.0."};
                  c.json["inputs"] = {"q", "k", "v", "gate"};
                },
                "'gate'"},
        BadCase{"NestedTooDeep",
                [](SmallCase& c) { c.json["options"]["x"] = nlohmann::json::parse("[[[[[1]]]]]"); },
                "'x'"}),
    [](const testing::TestParamInfo<BadCase>& row) { return row.param.name; });

TEST(GoldenCaseTest, FileThatIsNoCaseIsRefused) {
  const SmallCase small;
  const std::string path = TestPath("plain.safetensors");
  ASSERT_TRUE(WriteSafetensors(path, small.tensors, {{"format", "pt"}}).ok());
  EXPECT_THAT(std::string(ReadGoldenCase(path).status().message()), HasSubstr("no golden case"));
  ASSERT_TRUE(WriteSafetensors(path, small.tensors, {{"case", "{"}}).ok());
  EXPECT_THAT(std::string(ReadGoldenCase(path).status().message()), HasSubstr("well-formed JSON"));
  ASSERT_TRUE(WriteSafetensors(path, small.tensors, {{"case", R"({"name":"a","name":"b"})"}}).ok());
  EXPECT_THAT(std::string(ReadGoldenCase(path).status().message()),
              HasSubstr("'name' stands twice"));
}

}  // namespace
}  // namespace attn
