#include "server/services/memory_return.h"

#include <cstring>
#include <memory>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/support/resident_bytes.h"

namespace attn {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

TEST(TrimRule, WaitsUntilMoreIsUnusedThanTheLastTrimLeft) {
  struct Look {
    int64_t unused_mib;
    bool worthwhile;
    int64_t left_mib;  // By the trim.
  };
  TrimRule rule;
  for (const Look& look : {Look{60, false, 0},
                           {700, true, 500},  // A driver's mappings, the pool's idle buffers.
                           {500, false, 0},
                           {560, false, 0},
                           {570, true, 510},
                           {100, false, 0},  // The pool has given up its buffers.
                           {160, false, 0},
                           {170, true, 100}}) {
    EXPECT_EQ(rule.IsWorthwhile(look.unused_mib * kMiB), look.worthwhile) << look.unused_mib;
    if (look.worthwhile) rule.Trimmed(look.left_mib * kMiB);
  }
}

// Blocks as gRPC reads into; the last one stays, so that the heap does not shrink by itself.
TEST(MemoryReturn, GivesBackWhatABurstLeft) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers keep freed memory";
#endif
  const std::unique_ptr<Executor> executor = Executor::Create({}, nullptr).value();
  const MemoryReturn returns(executor.get());
  constexpr size_t kBlockBytes = size_t{48} << 10;
  constexpr size_t kBlocks = 6000;  // 280 MB
  std::vector<std::unique_ptr<char[]>> blocks;
  for (size_t i = 0; i < kBlocks; ++i) {
    blocks.push_back(std::make_unique<char[]>(kBlockBytes));
    std::memset(blocks.back().get(), 1, kBlockBytes);
  }
  // A look while all of it is in use changes nothing and spoils nothing.
  absl::SleepFor(absl::Milliseconds(2500));
  const int64_t full_bytes = ResidentBytes();
  for (size_t i = 0; i + 1 < kBlocks; ++i) blocks[i] = nullptr;
  int64_t bytes = full_bytes;
  for (int i = 0; i < 100 && bytes > full_bytes / 2; ++i) {
    absl::SleepFor(absl::Milliseconds(100));
    bytes = ResidentBytes();
  }
  EXPECT_LT(bytes, full_bytes / 2);
}

}  // namespace
}  // namespace attn
