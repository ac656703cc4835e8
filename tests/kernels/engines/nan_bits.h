// NaNs of every kind: both signs, quiet and signalling, with payloads that arithmetic on bits may
// carry into a number.
#ifndef ATTN_TESTS_KERNELS_ENGINES_NAN_BITS_H_
#define ATTN_TESTS_KERNELS_ENGINES_NAN_BITS_H_

#include <cstdint>
#include <span>

#include "kernels/core/dtype.h"

namespace attn {

inline constexpr uint32_t kFloat32Nans[] = {0x7fc00000, 0x7fc00001, 0x7fc001ff,
                                            0x7f800001, 0x7fffffff, 0xffc00000,
                                            0xff800001, 0xffbfffff, 0xffffffff};
inline constexpr uint32_t kFloat16Nans[] = {0x7e00, 0x7e01, 0x7c01, 0x7fff,
                                            0xfe00, 0xfc01, 0xfdff, 0xffff};
inline constexpr uint32_t kBFloat16Nans[] = {0x7fc0, 0x7fc1, 0x7f81, 0x7fff,
                                             0xffc0, 0xff81, 0xffbf, 0xffff};

// As stored in a dtype of floats.
inline std::span<const uint32_t> NansOf(DType dtype) {
  if (dtype == DType::kFloat16) return kFloat16Nans;
  if (dtype == DType::kBFloat16) return kBFloat16Nans;
  return kFloat32Nans;
}

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_ENGINES_NAN_BITS_H_
