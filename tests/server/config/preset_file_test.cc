#include "server/config/preset_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/core/backend.h"
#include "kernels/core/registry.h"
#include "tests/server/config/status_lines.h"
#include "tests/server/config/temporary_file.h"

namespace attn {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Optional;
using testing::Pair;
using testing::StartsWith;

TEST(LoadPresetFileTest, ShippedFileDescribesTheModels) {
  const auto table =
      LoadPresetFile(std::string(ATTN_SOURCE_DIR) + "/config/attention_config.yaml", Registry());
  ASSERT_TRUE(table.ok()) << table.status();
  struct Facts {
    std::string model;
    std::array<int64_t, 3> video_scale;
    int64_t text_length;
  };
  for (const Facts& facts : std::vector<Facts>{{"Wan2.1_14b", {16, 16, 4}, 0},
                                               {"Wan2.1_1.3b", {16, 16, 4}, 0},
                                               {"Wan2.2_A14B", {16, 16, 4}, 0},
                                               {"Wan2.2_5B", {32, 32, 4}, 0},
                                               {"CogVideo1.5_5b", {16, 16, 8}, 226},
                                               {"CogVideo_5b", {16, 16, 4}, 226}}) {
    SCOPED_TRACE(facts.model);
    const auto found = table->models().find(facts.model);
    ASSERT_NE(found, table->models().end());
    EXPECT_EQ(found->second.model, facts.model);
    EXPECT_EQ(found->second.default_preset, "baseline");
    EXPECT_THAT(found->second.video_scale, Optional(facts.video_scale));
    EXPECT_EQ(found->second.text_length, facts.text_length);
    EXPECT_EQ(found->second.presets.at("baseline").backend, "auto");
  }
  const ModelPresets& text = table->models().at("MiniLM");
  EXPECT_EQ(text.video_scale, std::nullopt);
  EXPECT_EQ(text.presets.at(text.default_preset).backend, "flash");
  EXPECT_EQ(text.presets.at("oracle").backend, "eager");
}

TEST(LoadPresetFileTest, OptionsHaveTheTypesOfTheirJsonForm) {
  const TemporaryFile file("p.yaml",
                           "M:\n"
                           "  default_attention: a\n"
                           "  attention_configs:\n"
                           "    a:\n"
                           "      type: dense\n"
                           "      backend: FLASH_ATTN\n"
                           "      description: all of them\n"
                           "      options:\n"
                           "        bool: true\n"
                           "        int: -3\n"
                           "        float: 0.5\n"
                           "        exponent: 1e-3\n"
                           "        word: topk\n"
                           "        nan: nan\n"
                           "        version: 1.2.3\n"
                           "        range: 1-2\n"
                           "        quoted: '3'\n"
                           "        list: [1, [2.0, x]]\n"
                           "        tensor: {tensor: gate}\n");
  const auto table = LoadPresetFile(file.path(), Registry());
  ASSERT_TRUE(table.ok()) << table.status();
  const Preset& preset = table->models().at("M").presets.at("a");
  EXPECT_EQ(preset.name, "a");
  EXPECT_EQ(preset.backend, "flash");
  EXPECT_EQ(preset.description, "all of them");
  const OptionList inner = {OptionValue{2.0}, OptionValue{std::string("x")}};
  const OptionMap expected = {
      {"bool", {true}},
      {"int", {int64_t{-3}}},
      {"float", {0.5}},
      {"exponent", {1e-3}},
      {"word", {std::string("topk")}},
      {"nan", {std::string("nan")}},
      {"version", {std::string("1.2.3")}},
      {"range", {std::string("1-2")}},
      {"quoted", {std::string("3")}},
      {"list", {OptionList{OptionValue{int64_t{1}}, OptionValue{inner}}}},
      {"tensor", {TensorName{"gate"}}},
  };
  EXPECT_EQ(preset.options, expected);
}

TEST(LoadPresetFileTest, ReportsAllMistakesAtOnceInTheOrderOfLines) {
  const TemporaryFile file("p.yaml",
                           "M:\n"                                           // 1
                           "  default_attention: basline\n"                 // 2: no such preset
                           "  video_scale: {width_divisor: 0, depth: 4}\n"  // 3: four mistakes
                           "  text_length: -1\n"                            // 4: range
                           "  attention_configs:\n"                         // 5
                           "    baseline: {type: dense, bakend: flash}\n"   // 6: unknown key
                           "    fast: {type: psa, block_size: {m: 128}}\n"  // 7: unknown type
                           "    a: {backend: flash}\n"                      // 8: no type
                           "    b: {type: dense, backend: sage}\n"          // 9: not exact
                           "    c: {type: dense, backend: falsh}\n"         // 10: unknown
                           "    d: [dense]\n"                               // 11: no mapping
                           "    e:\n"                                       // 12
                           "      type: dense\n"                            // 13
                           "      options:\n"                               // 14
                           "        k: {a: b}\n"                            // 15: object
                           "        l: ~\n"                                 // 16: null
                           "        m: 9223372036854775808\n"               // 17: 2^63
                           "        n: 1e999\n"                             // 18: infinite
                           "        o: [[[[[1]]]]]\n"                       // 19: too deep
                           "    e: {type: dense}\n"                         // 20: twice
                           "N: {}\n"                                        // 21: two missing
                           "O: dense\n");                                   // 22: no mapping
  const absl::Status status = LoadPresetFile(file.path(), Registry()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::string at = file.path() + ":";
  const std::string configs = "M.attention_configs.";
  EXPECT_THAT(
      Lines(status),
      ElementsAre(
          AllOf(StartsWith(at + "2: M.default_attention: unknown preset 'basline'"),
                HasSubstr("did you mean 'baseline'?")),
          at + "3: M.video_scale.width_divisor: 0 is out of range, allowed: 1 to 65536",
          at + "3: M.video_scale.height_divisor: is missing",
          at + "3: M.video_scale.depth_divisor: is missing",
          StartsWith(at + "3: M.video_scale: unknown key 'depth'"),
          StartsWith(at + "4: M.text_length: -1 is out of range"),
          AllOf(StartsWith(at + "6: " + configs + "baseline: unknown key 'bakend'"),
                HasSubstr("did you mean 'backend'?")),
          at + "7: " + configs + "fast.type: type 'psa' is not in this build, known: dense, own",
          at + "8: " + configs + "a.type: is missing",
          at + "9: " + configs +
              "b.backend: 'sage' is not exact, type dense takes: auto, eager, "
              "flash, cudnn, flex",
          StartsWith(at + "10: " + configs + "c.backend: unknown backend 'falsh'"),
          at + "11: " + configs + "d: expected a mapping, here stands a list",
          at + "11: " + configs + "d.type: is missing",
          at + "15: " + configs + "e.options.k: a mapping here can only be {tensor: NAME}",
          at + "16: " + configs + "e.options.l: has no value",
          at + "17: " + configs +
              "e.options.m: '9223372036854775808' does not fit a 64-bit integer",
          at + "18: " + configs + "e.options.n: '1e999' does not fit a 64-bit float",
          at + "19: " + configs + "e.options.o: lists nested deeper than 4",
          at + "20: " + configs + "e: stands here twice, first at line 12",
          at + "21: N.default_attention: is missing", at + "21: N.attention_configs: is missing",
          at + "22: O: expected a mapping, here stands 'dense'",
          at + "22: O.default_attention: is missing", at + "22: O.attention_configs: is missing"));
}

TEST(LoadPresetFileTest, NamesTheFileAsGiven) {
  const absl::Status status = LoadPresetFile("no/such/presets.yaml", Registry()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), StartsWith("no/such/presets.yaml: "));
}

// A backend from outside, of which only its description is asked.
class OwnBackend final : public Backend {
 public:
  OwnBackend(std::string name, bool exact) {
    info_.name = std::move(name);
    info_.exact = exact;
  }
  const BackendInfo& info() const override { return info_; }
  int64_t WorkspaceBytes(const AttentionProblem&, const OptionMap&) const override { return 0; }
  absl::StatusOr<std::unique_ptr<Execution>> Prepare(const AttentionCall&) const override {
    return absl::UnimplementedError("of the test");
  }

 private:
  BackendInfo info_;
};

TEST(LoadPresetFileTest, OwnBackendsArePresetsOfTheirTypeAndExactOnesDenseToo) {
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(std::make_unique<OwnBackend>("mine", true));
  backends.push_back(std::make_unique<OwnBackend>("guess", false));
  const Registry registry = Registry::Create(std::move(backends)).value();
  const TemporaryFile good("p.yaml",
                           "M:\n"
                           "  default_attention: a\n"
                           "  attention_configs:\n"
                           "    a: {type: dense, backend: Mine}\n"
                           "    b: {type: own, backend: guess, options: {k: 1}}\n"
                           "    c: {type: own, backend: mine}\n");
  const auto table = LoadPresetFile(good.path(), registry);
  ASSERT_TRUE(table.ok()) << table.status();
  const ModelPresets& model = table->models().at("M");
  EXPECT_EQ(model.presets.at("a").backend, "mine");
  EXPECT_EQ(model.presets.at("b").backend, "guess");
  EXPECT_EQ(model.presets.at("b").options.size(), 1u);
  EXPECT_EQ(model.presets.at("c").backend, "mine");

  const TemporaryFile bad("p.yaml",
                          "M:\n"
                          "  default_attention: a\n"
                          "  attention_configs:\n"
                          "    a: {type: dense, backend: guess}\n"
                          "    b: {type: own, backend: flash}\n"
                          "    c: {type: own}\n"
                          "    d: {type: own, backend: gues}\n");
  const std::string at = bad.path() + ":";
  EXPECT_THAT(
      Lines(LoadPresetFile(bad.path(), registry).status()),
      ElementsAre(at + "4: M.attention_configs.a.backend: 'guess' is not exact, type dense takes: "
                       "auto, eager, flash, cudnn, flex, mine",
                  at + "5: M.attention_configs.b.backend: 'flash' is no backend of a plug-in, type "
                       "own takes: guess, mine",
                  at + "6: M.attention_configs.c.backend: is missing",
                  StartsWith(at + "7: M.attention_configs.d.backend: unknown backend 'gues'; did "
                                  "you mean 'guess'?")));
}

}  // namespace
}  // namespace attn
