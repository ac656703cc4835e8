// Packing of keys and values (layouts: tile_kernels.h).
#ifndef ATTN_KERNELS_ENGINES_CPU_ISA_PACK_H_
#define ATTN_KERNELS_ENGINES_CPU_ISA_PACK_H_

#include <cstdint>

#include "kernels/engines/cpu/isa/vector.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {

// Element types of tokens, widened to fp32.
template <typename Isa>
struct FromFp32 {
  using Element = float;
  [[gnu::always_inline]] static auto Load(const float* from) { return Vector<Isa>::Load(from); }
};
template <typename Isa>
struct FromBf16 {
  using Element = uint16_t;
  [[gnu::always_inline]] static auto Load(const uint16_t* from) { return Isa::FromBFloat16(from); }
};
template <typename Isa>
struct FromFp16 {
  using Element = uint16_t;
  [[gnu::always_inline]] static auto Load(const uint16_t* from) { return Isa::FromFloat16(from); }
};

// A block of kCount x kCount elements, one row a vector, turned in place: row i of the result holds
// element i of every row. Each round interleaves row i with row i + kCount / 2.
template <typename Isa>
[[gnu::always_inline]] inline void Transpose(typename Vector<Isa>::Floats* rows) {
  using V = Vector<Isa>;
  constexpr int kCount = V::kCount;
#pragma GCC unroll 4
  for (int round = 1; round < kCount; round *= 2) {
    typename V::Floats turned[kCount];
#pragma GCC unroll 16
    for (int i = 0; i < kCount / 2; ++i) {
      turned[2 * i] = V::InterleaveLow(rows[i], rows[i + kCount / 2]);
      turned[2 * i + 1] = V::InterleaveHigh(rows[i], rows[i + kCount / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kCount; ++i) rows[i] = turned[i];
  }
}

// Elements [begin, begin + kCount) of a token of `dim`, zeros past its end and where it is null.
template <typename From, typename Isa>
[[gnu::always_inline]] inline typename Vector<Isa>::Floats LoadElements(const void* token,
                                                                        int64_t begin,
                                                                        int64_t dim) {
  using V = Vector<Isa>;
  using Element = typename From::Element;
  if (token == nullptr || begin >= dim) return typename V::Floats{};
  const Element* from = static_cast<const Element*>(token) + begin;
  if (begin + V::kCount <= dim) return From::Load(from);
  Element padded[V::kCount] = {};
  // Pairs of bf16 may lie at odd addresses of their element type: bytes are copied.
  __builtin_memcpy(padded, from, static_cast<size_t>(dim - begin) * sizeof(Element));
  return From::Load(padded);
}

// Packs keys in steps of 4 bytes: to[step][kLaneCount].
template <typename From, typename Isa>
[[gnu::always_inline]] inline void PackSteps(const void* const* tokens, int64_t dim, int64_t steps,
                                             float* to) {
  using V = Vector<Isa>;
  for (int64_t begin = 0; begin < steps; begin += V::kCount) {
    const int64_t end = begin + V::kCount < steps ? begin + V::kCount : steps;
    for (int lane = 0; lane < kLaneCount; lane += V::kCount) {
      typename V::Floats block[V::kCount];
#pragma GCC unroll 16
      for (int i = 0; i < V::kCount; ++i) {
        block[i] = LoadElements<From, Isa>(tokens[lane + i], begin, dim);
      }
      Transpose<Isa>(block);
      for (int64_t d = begin; d < end; ++d) {
        V::Store(to + d * kLaneCount + lane, block[d - begin]);
      }
    }
  }
}

// TileKernels::pack_keys of fp32 tables.
template <typename Isa>
void PackKeys(const PackKeysTile& tile) {
  const TokenGroup& group = tile.group;
  auto* to = static_cast<float*>(tile.to);
  switch (group.dtype) {
    case DType::kFloat16:
      return PackSteps<FromFp16<Isa>, Isa>(group.tokens, group.dim, tile.depth, to);
    case DType::kBFloat16:
      return PackSteps<FromBf16<Isa>, Isa>(group.tokens, group.dim, tile.depth, to);
    default:
      return PackSteps<FromFp32<Isa>, Isa>(group.tokens, group.dim, tile.depth, to);
  }
}

template <typename From, typename Isa>
[[gnu::always_inline]] inline bool PackValueRows(const PackValuesTile& tile) {
  using V = Vector<Isa>;
  using Words = typename V::Words;
  const TokenGroup& group = tile.group;
  Words infinite = {};
  for (int64_t t = 0; t < kLaneCount; ++t) {
    char* to = static_cast<char*>(tile.to) + t * kLaneCount * static_cast<int64_t>(sizeof(float));
    for (int64_t begin = 0; begin < group.dim; begin += kLaneCount, to += tile.group_bytes) {
      for (int64_t part = 0; part < kLaneCount; part += V::kCount) {
        const auto row = LoadElements<From, Isa>(group.tokens[t], begin + part, group.dim);
        infinite |= static_cast<Words>((reinterpret_cast<Words>(row) & 0x7f800000U) == 0x7f800000U);
        V::Store(reinterpret_cast<float*>(to) + part, row);
      }
    }
  }
  uint32_t any = 0;
  for (int i = 0; i < V::kCount; ++i) any |= infinite[i];
  return any == 0;
}

// TileKernels::pack_values of fp32 tables.
template <typename Isa>
bool PackValues(const PackValuesTile& tile) {
  switch (tile.group.dtype) {
    case DType::kFloat16:
      return PackValueRows<FromFp16<Isa>, Isa>(tile);
    case DType::kBFloat16:
      return PackValueRows<FromBf16<Isa>, Isa>(tile);
    default:
      return PackValueRows<FromFp32<Isa>, Isa>(tile);
  }
}

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_ISA_PACK_H_
