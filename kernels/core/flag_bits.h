// Booleans in bulk: bits or bytes of a tensor to words of bits, least significant first.
#ifndef ATTN_KERNELS_CORE_FLAG_BITS_H_
#define ATTN_KERNELS_CORE_FLAG_BITS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/core/dtype.h"

namespace attn {

inline constexpr int64_t kWordBits = 64;

// Bits [0, count) set; count from 0 (none) to 64.
constexpr uint64_t LowBits(int64_t count) {
  return count >= 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
}

// Bit i = bytes[i] != 0, of 8 bytes.
inline uint64_t PackEightFlags(const void* bytes) {
  constexpr uint64_t kLowSeven = 0x7f7f7f7f7f7f7f7f;
  uint64_t flags = 0;
  std::memcpy(&flags, bytes, 8);
  flags = ((((flags & kLowSeven) + kLowSeven) | flags) & ~kLowSeven) >> 7;  // 0 or 1 a byte
  return (flags * 0x0102040810204080) >> 56;  // Byte i goes to bit 56 + i, without carries.
}

// Bit i = bytes[i] != 0, of 64 bytes.
inline uint64_t PackFlags(const uint8_t* bytes) {
  uint64_t word = 0;
  for (int i = 0; i < 8; ++i) word |= PackEightFlags(bytes + 8 * i) << (8 * i);
  return word;
}

// One element of contiguous booleans (uint8, int8 or bits).
inline bool ReadFlag(const std::byte* data, DType dtype, int64_t index) {
  if (dtype != DType::kBits) return data[index] != std::byte{0};
  return (data[index / 8] >> (index % 8) & std::byte{1}) != std::byte{0};
}

// Bit i = element `first` + i of contiguous booleans (uint8, int8 or bits) is true; count from 1 to
// 64, bits from there on are 0. Reads no byte that holds none of these elements.
uint64_t ReadFlags(const std::byte* data, DType dtype, int64_t first, int64_t count);

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_FLAG_BITS_H_
