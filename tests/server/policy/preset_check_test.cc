#include "server/policy/preset_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "tests/server/policy/fake_backend.h"

namespace attn {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

PresetTable Table(std::vector<Preset> presets) {
  ModelPresets wan;
  wan.model = "wan";
  for (Preset& preset : presets) wan.presets[preset.name] = preset;
  return PresetTable({{"wan", wan}});
}

TEST(CheckPresets, AcceptsWhatTheBuildCanServe) {
  const PresetTable table = Table({{"dense", "auto", "", {}},
                                   {"blocks", "auto", "", {{"block_q", {int64_t{32}}}}},
                                   {"fast", "psa", "", {{"ratio", {0.25}}}},
                                   {"int8", "sage", "", {{"pv", {std::string("fp8")}}}}});
  EXPECT_EQ(CheckPresets(table, StandardRegistry()), absl::OkStatus());
  EXPECT_EQ(CheckPresets(PresetTable(), StandardRegistry()), absl::OkStatus());
}

TEST(CheckPresets, NamesEveryMistakeAtOnce) {
  const PresetTable table =
      Table({{"a", "nabla", "", {}},
             {"b", "psa", "", {{"ratoi", {0.25}}, {"block_q", {std::string("x")}}}},
             {"c", "sage", "", {{"pv", {std::string("fp4")}}}},
             // Only approximate backends have it.
             {"d", "auto", "", {{"ratio", {0.25}}}}});
  const absl::Status status = CheckPresets(table, StandardRegistry());
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  const std::vector<std::string> lines =
      absl::StrSplit(std::string(status.message()), absl::ByChar('\n'));
  EXPECT_THAT(lines, ElementsAre("wan/a: 'nabla' is not in this build",
                                 AllOf(StartsWith("wan/b: psa: "), HasSubstr("'block_q'")),
                                 AllOf(StartsWith("wan/b: psa: "), HasSubstr("'ratoi'")),
                                 AllOf(StartsWith("wan/c: sage: "), HasSubstr("fp16, fp8")),
                                 AllOf(StartsWith("wan/d: no exact backend"), HasSubstr("flash: "),
                                       HasSubstr("eager: "), HasSubstr("'ratio'"))));
}

}  // namespace
}  // namespace attn
