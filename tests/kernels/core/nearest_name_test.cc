#include "kernels/core/nearest_name.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace attn {
namespace {

const std::vector<std::string> kNames = {"eager", "flash", "cudnn", "sage", "sage_sla", "sla"};

TEST(NearestName, FindsTheLikelyMeaning) {
  const std::pair<std::string, std::string> cases[] = {
      {"flash", "flash"}, {"FLASH", "flash"},      {"flsh", "flash"}, {"flahs", "flash"},
      {"egaer", "eager"}, {"sagesla", "sage_sla"}, {"sag", "sage"},   {"sl", "sla"},
      {"banana", ""},     {"flash_attention", ""}, {"", ""},          {"completely else", ""},
  };
  for (const auto& [name, nearest] : cases) EXPECT_EQ(NearestName(name, kNames), nearest) << name;
}

TEST(NearestName, TheFirstOfEqualsWins) {
  const std::vector<std::string> names = {"block_q", "block_k"};
  EXPECT_EQ(NearestName("block_x", names), "block_q");
}

TEST(NearestName, TheLimitIsAThirdOfTheLongerLengthAndAtLeastTwo) {
  const std::vector<std::string> names = {"abcdefghi"};
  EXPECT_EQ(NearestName("xxxdefghi", names), "abcdefghi");  // 3 of 9.
  EXPECT_EQ(NearestName("xxxxefghi", names), "");           // 4 of 9.
  const std::vector<std::string> small = {"ab"};
  EXPECT_EQ(NearestName("xy", small), "ab");  // 2 of 2.
  EXPECT_EQ(NearestName("xyz", small), "");
}

TEST(NearestName, NoCandidatesAndHugeNamesAreHarmless) {
  EXPECT_EQ(NearestName("flash", {}), "");
  EXPECT_EQ(NearestName(std::string(1 << 24, 'f'), kNames), "");
}

TEST(UnknownNameMessage, NamesTheKnownAndTheNearest) {
  EXPECT_EQ(UnknownNameMessage("backend", "flahs", kNames),
            "unknown backend 'flahs'; did you mean 'flash'? known: eager, flash, cudnn, sage, "
            "sage_sla, sla");
  EXPECT_EQ(UnknownNameMessage("option", "zzzzzzz", std::vector<std::string>{"block_q"}),
            "unknown option 'zzzzzzz'; known: block_q");
  EXPECT_EQ(UnknownNameMessage("option", "x", {}), "unknown option 'x'; known: none");
}

TEST(Quoted, EscapesAndCuts) {
  EXPECT_EQ(Quoted("flash"), "'flash'");
  EXPECT_EQ(Quoted(""), "''");
  EXPECT_EQ(Quoted(std::string("a\0z\n\x1b[31m\x7f\xff", 11)), R"('a\x00z\n\x1b[31m\x7f\xff')");
  EXPECT_EQ(Quoted("it's"), R"('it\'s')");
  EXPECT_EQ(Quoted(std::string(64, 'x')), "'" + std::string(64, 'x') + "'");
  EXPECT_EQ(Quoted(std::string(65, 'x')), "'" + std::string(64, 'x') + "...'");
}

}  // namespace
}  // namespace attn
