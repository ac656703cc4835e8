#include "server/policy/preset_table.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attn {
namespace {

using testing::HasSubstr;

PresetTable MakeTable() {
  ModelPresets wan;
  wan.model = "wan";
  wan.default_preset = "dense";
  wan.presets["dense"] = {"dense", "auto", "", {}};
  wan.presets["fast"] = {"fast", "psa", "", {}};
  ModelPresets bare;
  bare.model = "bare";
  return PresetTable({{"wan", wan}, {"bare", bare}});
}

TEST(PresetTable, FindsByNameAndByDefault) {
  const PresetTable table = MakeTable();
  EXPECT_EQ(table.Find("wan", "fast").value()->backend, "psa");
  EXPECT_EQ(table.Find("wan", "").value()->name, "dense");
}

TEST(PresetTable, WhatItDoesNotKnowIsNotFoundAndNamesWhatItKnows) {
  const PresetTable table = MakeTable();
  struct Case {
    const char* model;
    const char* preset;
    const char* message;
  };
  for (const Case& c :
       {Case{"wam", "", "unknown model 'wam'; did you mean 'wan'? known: bare, wan"},
        Case{"wan", "fats", "model 'wan': unknown preset 'fats'"},
        Case{"wan", "fats", "known: dense, fast"}, Case{"WAN", "", "unknown model"},
        Case{"bare", "", "model 'bare': unknown preset ''"}}) {
    const auto found = table.Find(c.model, c.preset);
    EXPECT_EQ(found.status().code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(std::string(found.status().message()), HasSubstr(c.message));
  }
  EXPECT_THAT(std::string(PresetTable().Find("wan", "").status().message()),
              HasSubstr("unknown model 'wan'; this server has no presets"));
}

}  // namespace
}  // namespace attn
