// What the tests of tile kernels share: the tables, tokens, and tokens packed.
#ifndef ATTN_TESTS_KERNELS_ENGINES_TILE_KERNELS_FIXTURE_H_
#define ATTN_TESTS_KERNELS_ENGINES_TILE_KERNELS_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/core/aligned_buffer.h"
#include "kernels/core/ceil_divide.h"
#include "kernels/core/dtype.h"
#include "kernels/core/float16.h"
#include "kernels/engines/cpu/cpu_isa.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {

inline constexpr float kFloatInfinity = std::numeric_limits<float>::infinity();

struct NamedTable {
  CpuIsa isa;
  DType dtype;

  const TileKernels& table() const { return TileKernelsFor(isa, dtype); }
};

// Each once. Tiles of AMX have their own test, under emulation where the machine lacks them.
inline std::vector<NamedTable> TestedTables() {
  std::vector<NamedTable> tables;
  for (const CpuIsa isa : SupportedCpuIsas()) {
    if (isa == CpuIsa::kAmxBf16) continue;
    for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
      if (isa == CpuIsa::kAvx512Bf16 && dtype != DType::kBFloat16) continue;  // kAvx512's.
      tables.push_back({isa, dtype});
    }
  }
  return tables;
}

// Memory that starts on a cache line.
template <typename T>
class Aligned {
 public:
  explicit Aligned(int64_t count)
      : buffer_(AlignedBuffer::Allocate(count * static_cast<int64_t>(sizeof(T)))) {
    std::fill(data(), data() + count, T{});
  }
  T* data() { return reinterpret_cast<T*>(buffer_.data()); }
  T& operator[](int64_t i) { return data()[i]; }

 private:
  AlignedBuffer buffer_;
};

inline uint16_t Half(DType dtype, float value) {
  return dtype == DType::kFloat16 ? FloatToFloat16(value) : FloatToBFloat16(value);
}
inline float Widened(DType dtype, float value) {
  if (dtype == DType::kFloat32) return value;
  const uint16_t half = Half(dtype, value);
  return dtype == DType::kFloat16 ? Float16ToFloat(half) : BFloat16ToFloat(half);
}

// Tokens of `dim` elements in a dtype, and what they are worth.
class Tokens {
 public:
  Tokens(DType dtype, int64_t count, int64_t dim, uint32_t seed)
      : dtype_(dtype), dim_(dim), values_(static_cast<size_t>(count * dim)) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (float& value : values_) value = Widened(dtype, normal(random));
    Store();
  }
  // As stored; At does not see it.
  void SetBits(int64_t token, int64_t d, uint32_t bits) {
    const int64_t bytes = BitWidth(dtype_) / 8;
    std::memcpy(bytes_.data() + (token * dim_ + d) * bytes, &bits, static_cast<size_t>(bytes));
  }
  double At(int64_t token, int64_t d) const {
    return values_[static_cast<size_t>(token * dim_ + d)];
  }
  const void* Address(int64_t token) const {
    return bytes_.data() + token * dim_ * BitWidth(dtype_) / 8;
  }
  DType dtype() const { return dtype_; }
  int64_t dim() const { return dim_; }

 private:
  void Store() {
    bytes_.resize(values_.size() * static_cast<size_t>(BitWidth(dtype_) / 8));
    for (size_t i = 0; i < values_.size(); ++i) {
      if (dtype_ == DType::kFloat32) {
        std::memcpy(bytes_.data() + 4 * i, &values_[i], 4);
      } else {
        const uint16_t half = Half(dtype_, values_[i]);
        std::memcpy(bytes_.data() + 2 * i, &half, 2);
      }
    }
  }

  DType dtype_;
  int64_t dim_;
  std::vector<float> values_;
  std::vector<std::byte> bytes_;
};

// Packed keys or values of up to kTileColumns tokens, as PackedBlocks lays them out.
struct PackedTokens {
  Aligned<std::byte> bytes{4 * kTileColumns * 256};
  int64_t padded = 0;
  int64_t group_bytes = 0;
  bool finite = true;
};

inline std::vector<const void*> GroupOf(const Tokens& tokens, int64_t first, int64_t count) {
  std::vector<const void*> group(kLaneCount, nullptr);
  for (int64_t i = 0; i < std::min(kLaneCount, count - first); ++i) {
    group[static_cast<size_t>(i)] = tokens.Address(first + i);
  }
  return group;
}

inline PackedTokens PackKeysOf(const TileKernels& kernels, const Tokens& tokens, int64_t count) {
  PackedTokens packed;
  const int64_t depth = RoundUp(tokens.dim(), kernels.depth_multiple);
  packed.padded = RoundUp(count, kLaneCount);
  packed.group_bytes = kLaneCount * depth * ElementBytes(kernels.operand);
  for (int64_t t = 0; t < packed.padded; t += kLaneCount) {
    kernels.pack_keys({.group = {GroupOf(tokens, t, count).data(), tokens.dtype(), tokens.dim()},
                       .depth = depth,
                       .to = packed.bytes.data() + t / kLaneCount * packed.group_bytes});
  }
  return packed;
}

inline PackedTokens PackValuesOf(const TileKernels& kernels, const Tokens& tokens, int64_t count) {
  PackedTokens packed;
  packed.padded = RoundUp(count, kLaneCount);
  packed.group_bytes = packed.padded * kLaneCount * ElementBytes(kernels.operand);
  for (int64_t t = 0; t < packed.padded; t += kLaneCount) {
    const bool finite = kernels.pack_values(
        {.group = {GroupOf(tokens, t, count).data(), tokens.dtype(), tokens.dim()},
         .to = packed.bytes.data() + t * kLaneCount * ElementBytes(kernels.operand),
         .group_bytes = packed.group_bytes});
    packed.finite = packed.finite && finite;
  }
  return packed;
}

class TileTest : public testing::TestWithParam<NamedTable> {
 protected:
  const TileKernels& kernels_ = GetParam().table();
  const DType dtype_ = GetParam().dtype;
};

inline std::string TableName(const testing::TestParamInfo<NamedTable>& tested) {
  return std::string(Name(tested.param.isa)) + "_" + std::string(Name(tested.param.dtype));
}

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_ENGINES_TILE_KERNELS_FIXTURE_H_
