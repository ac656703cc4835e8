// Golden cases that document what upstream does and this server refuses.
#include "client/golden/safetensors.h"
#include "gtest/gtest.h"
#include "tests/server/services/refused_call.h"
#include "tests/support/golden_files.h"

namespace attn {
namespace {

// Upstream skips nothing where lengths differ, and says nothing.
TEST(RefusedGoldenCase, SkippedScoresOfOtherLengths) {
  const std::string path = FindGoldenFile(ATTN_SOURCE_DIR, "skip/hook_len_mismatch_upstream");
  if (path.empty()) GTEST_SKIP() << "no golden case skip/hook_len_mismatch_upstream";
  const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Read(path);
  ASSERT_TRUE(file.ok()) << file.status();
  std::vector<TensorText> tensors;
  for (const char* name : {"q", "k", "v"}) {
    tensors.push_back({name, attention::v1::DATA_TYPE_BF16, file->Find(name)->shape, "b s h d"});
  }
  ASSERT_TRUE(ParseText("", tensors).ok());
  ExpectRefused({"lengths",
                 "skip_scores { mode: VALUE }",
                 {},
                 "skip_scores: q has 20 tokens and k 33, allowed: as many"},
                tensors);
}

}  // namespace
}  // namespace attn
