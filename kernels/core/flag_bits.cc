#include "kernels/core/flag_bits.h"

#include <cassert>

namespace attn {
namespace {

uint64_t ReadBits(const std::byte* data, int64_t first, int64_t count) {
  const std::byte* from = data + first / 8;
  const int64_t skipped = first % 8;
  const int64_t bytes = (skipped + count + 7) / 8;  // 1 to 9
  uint64_t word = 0;
  if (bytes >= 8) {
    std::memcpy(&word, from, 8);
  } else {
    std::memcpy(&word, from, static_cast<size_t>(bytes));
  }
  word >>= skipped;
  if (bytes == 9) word |= static_cast<uint64_t>(from[8]) << (64 - skipped);
  return word & LowBits(count);
}

}  // namespace

uint64_t ReadFlags(const std::byte* data, DType dtype, int64_t first, int64_t count) {
  assert(count >= 1 && count <= 64);
  if (count == 1) return ReadFlag(data, dtype, first) ? 1 : 0;
  if (dtype == DType::kBits) return ReadBits(data, first, count);
  uint64_t word = 0;
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) word |= PackEightFlags(data + first + i) << i;
  for (; i < count; ++i) word |= static_cast<uint64_t>(data[first + i] != std::byte{0}) << i;
  return word;
}

}  // namespace attn
