#include "kernels/core/buffer_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace attn {
namespace {

constexpr int64_t kKiB = 1024;
constexpr int64_t kMiB = 1024 * kKiB;

BufferPool::Lease MustTake(BufferPool& pool, int64_t bytes) {
  absl::StatusOr<BufferPool::Lease> lease = pool.Take(bytes);
  EXPECT_TRUE(lease.ok()) << lease.status();
  return *std::move(lease);
}

TEST(BufferPool, AReturnedBufferServesTheNextRequestOfItsSize) {
  BufferPool pool(64 * kMiB);
  BufferPool::Lease first = MustTake(pool, kMiB + 5);
  EXPECT_EQ(first.size(), kMiB + 5);
  const std::byte* const memory = first.data();
  EXPECT_EQ(pool.idle_bytes(), 0);
  first = BufferPool::Lease();
  EXPECT_EQ(pool.idle_bytes(), kMiB + 4 * kKiB);  // Rounded up to a page.
  const BufferPool::Lease second = MustTake(pool, kMiB + 3 * kKiB);
  EXPECT_EQ(second.data(), memory);
  EXPECT_EQ(second.size(), kMiB + 3 * kKiB);
  EXPECT_EQ(pool.idle_bytes(), 0);
}

TEST(BufferPool, ABufferServesDownToHalfItsSizeAndNoLess) {
  BufferPool pool(64 * kMiB);
  MustTake(pool, kMiB);
  const BufferPool::Lease below_half = MustTake(pool, kMiB / 2 - 4 * kKiB);
  EXPECT_EQ(pool.idle_bytes(), kMiB);
  const BufferPool::Lease above = MustTake(pool, kMiB + 1);
  EXPECT_EQ(pool.idle_bytes(), kMiB);
  const BufferPool::Lease half = MustTake(pool, kMiB / 2);
  EXPECT_EQ(pool.idle_bytes(), 0);
}

TEST(BufferPool, TheSmallestSufficientBufferIsTaken) {
  BufferPool pool(64 * kMiB);
  {
    const BufferPool::Lease a = MustTake(pool, 160 * kKiB);
    const BufferPool::Lease b = MustTake(pool, 128 * kKiB);
    const BufferPool::Lease c = MustTake(pool, 192 * kKiB);
  }
  const BufferPool::Lease taken = MustTake(pool, 100 * kKiB);
  EXPECT_EQ(pool.idle_bytes(), (160 + 192) * kKiB);
}

TEST(BufferPool, TheOldestIdleBuffersMakeRoom) {
  BufferPool pool(512 * kKiB);
  auto oldest = std::optional(MustTake(pool, 128 * kKiB));
  auto middle = std::optional(MustTake(pool, 256 * kKiB));
  auto newest = std::optional(MustTake(pool, 192 * kKiB));
  oldest.reset();
  middle.reset();
  EXPECT_EQ(pool.idle_bytes(), 384 * kKiB);
  newest.reset();
  EXPECT_EQ(pool.idle_bytes(), (256 + 192) * kKiB);
}

TEST(BufferPool, WhatIsLargerThanTheBoundOrSmallIsNotKept) {
  BufferPool pool(kMiB);
  MustTake(pool, 2 * kMiB);
  EXPECT_EQ(pool.idle_bytes(), 0);
  MustTake(pool, 60 * kKiB);
  EXPECT_EQ(pool.idle_bytes(), 0);
  MustTake(pool, kMiB);
  EXPECT_EQ(pool.idle_bytes(), kMiB);
  BufferPool keeps_nothing(0);
  MustTake(keeps_nothing, kMiB);
  EXPECT_EQ(keeps_nothing.idle_bytes(), 0);
}

TEST(BufferPool, ZeroBytesAreAnEmptyLease) {
  BufferPool pool(kMiB);
  const BufferPool::Lease lease = MustTake(pool, 0);
  EXPECT_EQ(lease.data(), nullptr);
  EXPECT_EQ(lease.size(), 0);
}

TEST(BufferPool, ImpossibleSizesAreErrors) {
  BufferPool pool(kMiB);
  EXPECT_EQ(pool.Take(-1).status().code(), absl::StatusCode::kInvalidArgument);
  for (const int64_t bytes : {kMaxBufferBytes + 1, int64_t{INT64_MAX}}) {
    EXPECT_EQ(pool.Take(bytes).status().code(), absl::StatusCode::kResourceExhausted) << bytes;
  }
}

TEST(BufferPool, LeasesOutliveThePool) {
  auto pool = std::make_unique<BufferPool>(kMiB);
  const BufferPool::Lease lease = MustTake(*pool, 512 * kKiB);
  pool.reset();
  std::memset(lease.data(), 1, static_cast<size_t>(lease.size()));
}

TEST(BufferPool, MovingALeaseHandsTheBufferOver) {
  BufferPool pool(4 * kMiB);
  BufferPool::Lease first = MustTake(pool, kMiB);
  std::byte* const memory = first.data();
  BufferPool::Lease second = std::move(first);
  EXPECT_EQ(second.data(), memory);
  EXPECT_EQ(pool.idle_bytes(), 0);
  BufferPool::Lease third = MustTake(pool, 2 * kMiB);
  third = std::move(second);  // Gives its own buffer back.
  EXPECT_EQ(third.data(), memory);
  EXPECT_EQ(third.size(), kMiB);
  EXPECT_EQ(pool.idle_bytes(), 2 * kMiB);
}

TEST(BufferPool, ThreadsNeverShareABufferAndTheBoundHolds) {
  BufferPool pool(2 * kMiB);
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int id = 0; id < 8; ++id) {
    threads.emplace_back([&pool, id] {
      for (int64_t round = 0; round < 200; ++round) {
        const BufferPool::Lease lease = MustTake(pool, (64 + 16 * ((round + id) % 20)) * kKiB);
        std::memset(lease.data(), id, static_cast<size_t>(lease.size()));
        std::this_thread::yield();
        for (int64_t at = 0; at < lease.size(); at += 4 * kKiB) {
          ASSERT_EQ(lease.data()[at], static_cast<std::byte>(id));
        }
        ASSERT_LE(pool.idle_bytes(), 2 * kMiB);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(pool.idle_bytes(), 0);
}

}  // namespace
}  // namespace attn
