#include "kernels/core/scratch.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

namespace attn {
namespace {

bool Aligned(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % kBufferAlignment == 0;
}

TEST(AlignedBuffer, IsAlignedAndWholeAtAnySize) {
  for (const int64_t bytes : {int64_t{1}, int64_t{63}, int64_t{4096}, int64_t{5} << 20}) {
    const AlignedBuffer buffer = AlignedBuffer::Allocate(bytes);
    ASSERT_NE(buffer.data(), nullptr);
    EXPECT_EQ(buffer.size(), bytes);
    EXPECT_TRUE(Aligned(buffer.data()));
    buffer.data()[0] = std::byte{1};
    buffer.data()[bytes - 1] = std::byte{1};
  }
}

TEST(AlignedBuffer, NothingAndTheImpossibleAreEmpty) {
  for (const int64_t bytes : {int64_t{0}, int64_t{-1}, kMaxBufferBytes + 1, int64_t{INT64_MAX}}) {
    const AlignedBuffer buffer = AlignedBuffer::Allocate(bytes);
    EXPECT_EQ(buffer.data(), nullptr) << bytes;
    EXPECT_EQ(buffer.size(), 0) << bytes;
  }
}

TEST(AlignedBuffer, MovingEmptiesTheSource) {
  AlignedBuffer from = AlignedBuffer::Allocate(100);
  const AlignedBuffer to = std::move(from);
  EXPECT_EQ(to.size(), 100);
  EXPECT_EQ(from.size(), 0);  // NOLINT(bugprone-use-after-move): the contract says so.
  EXPECT_EQ(from.data(), nullptr);
}

TEST(Scratch, TakesAreAlignedDisjointAndReusedAfterReset) {
  Scratch scratch;
  ASSERT_TRUE(scratch.Reserve(64 + 128 + 64).ok());
  auto* const a = scratch.Take<char>(1);
  auto* const b = scratch.Take<float>(17);
  auto* const c = scratch.Take<double>(8);
  EXPECT_TRUE(Aligned(a) && Aligned(b) && Aligned(c));
  EXPECT_EQ(reinterpret_cast<char*>(b) - a, 64);
  EXPECT_EQ(reinterpret_cast<char*>(c) - reinterpret_cast<char*>(b), 128);
  scratch.Reset();
  ASSERT_TRUE(scratch.Reserve(100).ok());  // Already large enough: the memory stays.
  EXPECT_EQ(scratch.Take<char>(64), a);
}

TEST(Scratch, TrimFreesOnlyWhatIsUnusuallyLarge) {
  Scratch scratch;
  ASSERT_TRUE(scratch.Reserve(kMaxIdleScratchBytes).ok());
  scratch.Trim();
  EXPECT_EQ(scratch.capacity(), kMaxIdleScratchBytes);
  ASSERT_TRUE(scratch.Reserve(kMaxIdleScratchBytes + 1).ok());
  EXPECT_GT(scratch.capacity(), kMaxIdleScratchBytes);
  scratch.Trim();
  EXPECT_EQ(scratch.capacity(), 0);
  ASSERT_TRUE(scratch.Reserve(64).ok());
  scratch.Take<char>(64)[63] = 1;
}

TEST(Scratch, GrowsAndReportsWhatCannotBe) {
  Scratch scratch;
  ASSERT_TRUE(scratch.Reserve(64).ok());
  ASSERT_TRUE(scratch.Reserve(1 << 20).ok());
  scratch.Take<char>(1 << 20)[(1 << 20) - 1] = 1;
  EXPECT_EQ(scratch.Reserve(INT64_MAX).code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace attn
