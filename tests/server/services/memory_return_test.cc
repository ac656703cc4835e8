#include "server/services/memory_return.h"

#include <unistd.h>

#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace attn {
namespace {

int64_t ResidentBytesNow() {
  std::ifstream statm("/proc/self/statm");
  int64_t total_pages = 0;
  int64_t resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * sysconf(_SC_PAGESIZE);
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
  const int64_t full_bytes = ResidentBytesNow();
  for (size_t i = 0; i + 1 < kBlocks; ++i) blocks[i] = nullptr;
  int64_t bytes = full_bytes;
  for (int i = 0; i < 100 && bytes > full_bytes / 2; ++i) {
    absl::SleepFor(absl::Milliseconds(100));
    bytes = ResidentBytesNow();
  }
  EXPECT_LT(bytes, full_bytes / 2);
}

}  // namespace
}  // namespace attn
