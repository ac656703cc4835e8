// Every table of tile kernels that this machine runs, against plain double-precision arithmetic.
#include "kernels/engines/cpu/tile_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/core/aligned_buffer.h"
#include "kernels/core/float16.h"

namespace attn {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct NamedTable {
  CpuIsa isa;
  DType dtype;

  const TileKernels& table() const { return TileKernelsFor(isa, dtype); }
};

// Tiles of AMX have their own test, under emulation where the machine lacks them.
std::vector<NamedTable> Tables() {
  std::vector<NamedTable> tables;
  for (const CpuIsa isa : SupportedCpuIsas()) {
    if (isa == CpuIsa::kAmxBf16) continue;
    for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
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

uint16_t Half(DType dtype, float value) {
  return dtype == DType::kFloat16 ? FloatToFloat16(value) : FloatToBFloat16(value);
}
float Widened(DType dtype, float value) {
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
  void Set(int64_t token, int64_t d, float value) {
    values_[static_cast<size_t>(token * dim_ + d)] = value;
    Store();
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

std::vector<const void*> GroupOf(const Tokens& tokens, int64_t first, int64_t count) {
  std::vector<const void*> group(kLaneCount, nullptr);
  for (int64_t i = 0; i < std::min(kLaneCount, count - first); ++i) {
    group[static_cast<size_t>(i)] = tokens.Address(first + i);
  }
  return group;
}

PackedTokens PackKeysOf(const TileKernels& kernels, const Tokens& tokens, int64_t count) {
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

PackedTokens PackValuesOf(const TileKernels& kernels, const Tokens& tokens, int64_t count) {
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

// Queries or weights: rows in the operand's form, `stride` four-byte words apart.
Aligned<float> Operands(const TileKernels& kernels, const std::vector<std::vector<double>>& rows,
                        int64_t stride) {
  Aligned<float> words(kTileRows * stride);
  for (size_t r = 0; r < rows.size(); ++r) {
    float* row = words.data() + static_cast<int64_t>(r) * stride;
    for (size_t i = 0; i < rows[r].size(); ++i) {
      const auto value = static_cast<float>(rows[r][i]);
      if (kernels.operand == Operand::kFloat32) {
        row[i] = value;
      } else {
        reinterpret_cast<uint16_t*>(row)[i] = FloatToBFloat16(value);
      }
    }
  }
  return words;
}

std::vector<std::vector<double>> RowsOf(const Tokens& tokens, int64_t count) {
  std::vector<std::vector<double>> rows(static_cast<size_t>(count));
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t d = 0; d < tokens.dim(); ++d) {
      rows[static_cast<size_t>(r)].push_back(tokens.At(r, d));
    }
  }
  return rows;
}

class TileKernelsTest : public ::testing::TestWithParam<NamedTable> {
 protected:
  const TileKernels& kernels_ = GetParam().table();
  const DType dtype_ = GetParam().dtype;
};

INSTANTIATE_TEST_SUITE_P(, TileKernelsTest, ::testing::ValuesIn(Tables()), [](const auto& table) {
  return std::string(Name(table.param.isa)) + "_" + std::string(Name(table.param.dtype));
});

TEST_P(TileKernelsTest, ScoresAreProductsOfQueriesAndKeys) {
  for (const int64_t dim : {1, 7, 16, 33, 64, 128, 256}) {
    for (const int64_t rows : {1, 5, 8, 31, 32}) {
      for (const int64_t count : {1, 16, 40, 256}) {
        const Tokens queries(dtype_, rows, dim, 1);
        const Tokens keys(dtype_, count, dim, 2);
        PackedTokens packed = PackKeysOf(kernels_, keys, count);
        const int64_t depth = RoundUp(dim, kernels_.depth_multiple);
        Aligned<float> operands =
            Operands(kernels_, RowsOf(queries, rows), depth * ElementBytes(kernels_.operand) / 4);
        Aligned<float> scores(kTileRows * kTileColumns);
        kernels_.compute_scores({.queries = operands.data(),
                                 .keys = packed.bytes.data(),
                                 .scores = scores.data(),
                                 .stride = kTileColumns,
                                 .rows = rows,
                                 .depth = depth,
                                 .columns = packed.padded});
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t c = 0; c < packed.padded; ++c) {
            double expected = 0;
            double size = 1e-30;
            for (int64_t d = 0; c < count && d < dim; ++d) {
              expected += queries.At(r, d) * keys.At(c, d);
              size += std::abs(queries.At(r, d) * keys.At(c, d));
            }
            ASSERT_NEAR(scores[r * kTileColumns + c], expected, size * 1e-6)
                << "dim " << dim << ", row " << r << " of " << rows << ", key " << c << " of "
                << count;
          }
        }
      }
    }
  }
}

TEST_P(TileKernelsTest, ValuesAreWeighedAndCarriedOver) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform;
  for (const int64_t dim : {1, 16, 40, 64, 256}) {
    for (const int64_t rows : {1, 7, 32}) {
      for (const int64_t count : {1, 17, 64, 256}) {
        for (const bool carried : {false, true}) {
          const Tokens values(dtype_, count, dim, 4);
          PackedTokens packed = PackValuesOf(kernels_, values, count);
          EXPECT_TRUE(packed.finite);
          std::vector<std::vector<double>> weights(static_cast<size_t>(rows));
          for (auto& row : weights) {
            for (int64_t t = 0; t < count; ++t) {
              row.push_back(BFloat16ToFloat(FloatToBFloat16(uniform(random))));
            }
          }
          Aligned<float> operands = Operands(kernels_, weights, kTileColumns);
          const int64_t columns = RoundUp(dim, kLaneCount);
          Aligned<float> out(kTileRows * columns);
          std::fill(out.data(), out.data() + rows * columns, 3.0F);
          const std::vector<float> carry(static_cast<size_t>(rows), 0.5F);
          kernels_.accumulate_values({.weights = operands.data(),
                                      .stride = kTileColumns,
                                      .values = packed.bytes.data(),
                                      .group_bytes = packed.group_bytes,
                                      .carry = carried ? carry.data() : nullptr,
                                      .out = out.data(),
                                      .rows = rows,
                                      .tokens = packed.padded,
                                      .columns = columns});
          for (int64_t r = 0; r < rows; ++r) {
            for (int64_t c = 0; c < dim; ++c) {
              double expected = carried ? 1.5 : 3.0;
              double size = 3;
              for (int64_t t = 0; t < count; ++t) {
                const double term =
                    weights[static_cast<size_t>(r)][static_cast<size_t>(t)] * values.At(t, c);
                expected += term;
                size += std::abs(term);
              }
              ASSERT_NEAR(out[r * columns + c], expected, size * 2e-6)
                  << "dim " << dim << ", row " << r << ", column " << c << ", tokens " << count;
            }
          }
        }
      }
    }
  }
}

TEST_P(TileKernelsTest, PackingTellsOfValuesThatAreNotFinite) {
  for (const float value : {kInfinity, -kInfinity, kNan}) {
    for (const int64_t at : {0, 8, 36}) {
      Tokens values(dtype_, 20, 37, 5);
      values.Set(19, at, value);
      EXPECT_FALSE(PackValuesOf(kernels_, values, 20).finite) << value << " at " << at;
    }
  }
}

// One row through tiles of 48 columns, some hidden, against the softmax of all of them.
TEST_P(TileKernelsTest, SoftmaxRunsOverTiles) {
  constexpr int64_t kColumns = 48;
  constexpr int64_t kTiles = 4;
  constexpr float kScale = 0.7F;
  constexpr float kHeadroom = 8;
  std::mt19937 random(6);
  std::normal_distribution<float> normal(0, 6);
  std::vector<RowState> states(kTileRows);
  std::vector<double> sums(kTileRows, 0.0);
  std::vector<float> all(kTileRows * kTiles * kColumns);
  for (int64_t tile = 0; tile < kTiles; ++tile) {
    Aligned<float> scores(kTileRows * kTileColumns);
    for (int64_t r = 0; r < kTileRows; ++r) {
      for (int64_t c = 0; c < kColumns; ++c) {
        const bool hidden = r == 3 || (c + r) % 7 == 0;  // Row 3 sees nothing.
        const float score = hidden ? -kInfinity : normal(random);
        scores[r * kTileColumns + c] = score;
        all[static_cast<size_t>((r * kTiles + tile) * kColumns + c)] = score;
      }
    }
    Aligned<float> carry(kTileRows);
    const std::vector<RowState> before = states;
    const bool carries = kernels_.update_softmax({.scores = scores.data(),
                                                  .stride = kTileColumns,
                                                  .rows = kTileRows,
                                                  .columns = kColumns,
                                                  .scale = kScale,
                                                  .headroom = kHeadroom,
                                                  .states = states.data(),
                                                  .carry = carry.data()});
    EXPECT_EQ(carries, std::any_of(carry.data(), carry.data() + kTileRows,
                                   [](float factor) { return factor != 1; }));
    for (int64_t r = 0; r < kTileRows; ++r) {
      const RowState& state = states[static_cast<size_t>(r)];
      const float old_max = before[static_cast<size_t>(r)].max;
      const double expected_carry =
          state.max == old_max ? 1 : std::exp2((double{old_max} - state.max) * kScale);
      EXPECT_NEAR(carry[r], expected_carry, 5e-6 * expected_carry);
      sums[static_cast<size_t>(r)] *= carry[r];
      for (int64_t c = 0; c < kColumns; ++c) {
        const float* row = scores.data() + r * kTileColumns;
        const float weight = kernels_.operand == Operand::kFloat32
                                 ? row[c]
                                 : BFloat16ToFloat(reinterpret_cast<const uint16_t*>(row)[c]);
        const float score = all[static_cast<size_t>((r * kTiles + tile) * kColumns + c)];
        const double expected =
            score == -kInfinity ? 0 : std::exp2((double{score} - state.max) * kScale - kHeadroom);
        const double rounding = kernels_.operand == Operand::kFloat32 ? 4e-6 : 0x1p-8;
        ASSERT_NEAR(weight, expected, expected * rounding + 1e-37) << "row " << r;
        sums[static_cast<size_t>(r)] += expected;
      }
    }
  }
  for (int64_t r = 0; r < kTileRows; ++r) {
    const auto row = static_cast<size_t>(r);
    EXPECT_NEAR(states[row].sum, sums[row], 1e-5 * sums[row]);
    EXPECT_LE(states[row].sum, 1);
    EXPECT_EQ(states[row].max == -kInfinity, r == 3);
  }
}

TEST_P(TileKernelsTest, NanScorePassesTheMaximumByAndStaysInTheSum) {
  for (const int64_t at : {0, 5, 15, 16, 31}) {
    Aligned<float> scores(kTileColumns);
    std::fill(scores.data(), scores.data() + 32, 1.0F);
    scores[at] = kNan;
    RowState state;
    float carry = 0;
    kernels_.update_softmax({.scores = scores.data(),
                             .stride = kTileColumns,
                             .rows = 1,
                             .columns = 32,
                             .scale = 1,
                             .headroom = 5,
                             .states = &state,
                             .carry = &carry});
    EXPECT_EQ(state.max, 1) << at;
    EXPECT_TRUE(std::isnan(state.sum)) << at;
  }
}

TEST_P(TileKernelsTest, HidesWhereABitIsNotSet) {
  std::mt19937_64 random(7);
  constexpr int64_t kQueries = 3;
  std::vector<uint64_t> words(kQueries * 4);
  for (uint64_t& word : words) word = random();
  words[0] = ~uint64_t{0};
  words[5] = 0;
  Aligned<float> scores(kTileRows * kTileColumns);
  kernels_.hide_scores({.words = words.data(),
                        .words_per_query = 4,
                        .queries = kQueries,
                        .scores = scores.data(),
                        .stride = kTileColumns,
                        .rows = kTileRows,
                        .columns = 200});
  for (int64_t r = 0; r < kTileRows; ++r) {
    for (int64_t c = 0; c < 200; ++c) {
      const uint64_t word = words[static_cast<size_t>(r % kQueries * 4 + c / 64)];
      const float expected = ((word >> (c % 64)) & 1U) != 0 ? 0 : -kInfinity;
      ASSERT_EQ(scores[r * kTileColumns + c], expected) << "row " << r << ", column " << c;
    }
  }
}

// Rows are widened and narrowed as core's conversions do it, bit for bit.
TEST_P(TileKernelsTest, RowsConvertAsElementsDo) {
  std::mt19937 random(8);
  std::vector<float> special = {0,      -0.0F, 1,         65504, 65519.9F, 65520,  1e30F,
                                -1e-7F, 6e-8F, kInfinity, kNan,  1e-40F,   3.4e38F};
  std::normal_distribution<float> normal(0, 1000);
  while (special.size() < 61) special.push_back(normal(random));
  const auto dim = static_cast<int64_t>(special.size());
  Aligned<float> from(64);
  std::copy(special.begin(), special.end(), from.data());
  std::vector<std::byte> stored(64 * 4);
  kernels_.store_row(from.data(), 1, dtype_, dim, stored.data());
  std::vector<float> loaded(64, -1);
  kernels_.load_row(stored.data(), dtype_, dim, loaded.data());
  for (int64_t d = 0; d < dim; ++d) {
    const float expected = Widened(dtype_, from[d]);
    const float actual = loaded[static_cast<size_t>(d)];
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(actual)) << from[d];
    } else {
      EXPECT_EQ(actual, expected) << from[d];
    }
  }
  EXPECT_EQ(loaded[static_cast<size_t>(dim)], -1);
  EXPECT_EQ(stored[static_cast<size_t>(dim * BitWidth(dtype_) / 8)], std::byte{0});
}

}  // namespace
}  // namespace attn
