// `attn mask`, which asks no server.
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/cli/run_attn.h"

namespace attn::cli {
namespace {

using testing::HasSubstr;

TEST(MaskCommand, PrintsAndWritesTheSameFigures) {
  const std::string svg = testing::TempDir() + "/mask_command_test.svg";
  const AttnOutput shown = RunAttn(
      {"mask", "--queries", "64", "--causal", "--block_q", "16", "--block_k", "16", "--svg", svg});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("visible 50.78 %, sparsity 49.22 %"));
  EXPECT_THAT(shown.out, HasSubstr("block sparsity 37.50 %"));
  std::stringstream text;
  text << std::ifstream(svg).rdbuf();
  EXPECT_THAT(text.str(),
              HasSubstr(">visible 50.78 %, sparsity 49.22 %, block sparsity 37.50 %</text>"));
  std::filesystem::remove(svg);
}

TEST(MaskCommand, SaysWhereFunctionsLive) {
  const AttnOutput refused = RunAttn(
      {"mask", "--queries", "8", "--mask_expr",
       R"({"op": "and", "args": [{"op": "causal"}, {"op": "function", "name": "dilated"}]})"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("mask.expression.and[1].function: the mask function "
                                     "'dilated' lives in a server and cannot be drawn here"));
  EXPECT_THAT(RunAttn({"mask", "--help"}).out, HasSubstr("Mask functions live in a server"));
}

TEST(MaskCommand, RefusesIdsThatAreTooShort) {
  const AttnOutput refused =
      RunAttn({"mask", "--queries", "8", "--mask_expr", R"({"op": "packed", "ids": "seq"})",
               "--values", "seq=[[0,0,1]]"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("ids 'seq' has 3 positions, allowed: at least 8"));
}

}  // namespace
}  // namespace attn::cli
