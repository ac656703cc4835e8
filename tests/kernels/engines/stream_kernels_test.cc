// stream_scores and stream_values of every instruction set that this machine runs, against sums in
// double precision.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/core/dtype.h"
#include "kernels/core/float16.h"
#include "kernels/engines/cpu/cpu_isa.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {
namespace {

constexpr float kStreamInfinity = std::numeric_limits<float>::infinity();
constexpr float kUntouchedScore = 12345;

int64_t TokenElementBytes(DType dtype) { return BitWidth(dtype) / 8; }

// Tokens in no order and with gaps between them, in memory that starts with the first byte of one,
// ends with the last byte of another, and lies between pages that cannot be read. What the gaps
// hold is NaN.
class FencedTokens {
 public:
  FencedTokens(DType dtype, int64_t count, int64_t dim, uint64_t seed) : dtype_(dtype), dim_(dim) {
    const int64_t page = sysconf(_SC_PAGESIZE);
    const int64_t token_bytes = dim * TokenElementBytes(dtype);
    const int64_t slot_bytes = token_bytes + 3 * TokenElementBytes(dtype);
    const int64_t readable_bytes = (count * slot_bytes + page) / page * page;
    map_bytes_ = readable_bytes + 2 * page;
    map_ = static_cast<char*>(mmap(nullptr, static_cast<size_t>(map_bytes_), PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    EXPECT_NE(map_, MAP_FAILED);
    std::memset(map_, 0xff, static_cast<size_t>(map_bytes_));
    mprotect(map_, static_cast<size_t>(page), PROT_NONE);
    mprotect(map_ + page + readable_bytes, static_cast<size_t>(page), PROT_NONE);
    for (int64_t t = 0; t < count; ++t) addresses_.push_back(map_ + page + t * slot_bytes);
    addresses_.back() = map_ + page + readable_bytes - token_bytes;
    std::mt19937_64 random(seed);
    // The one at the end of the memory stays last: nothing after it hides a read too far.
    if (count > 1) std::shuffle(addresses_.begin(), addresses_.end() - 1, random);
    std::normal_distribution<float> normal;
    for (int64_t t = 0; t < count; ++t) {
      for (int64_t d = 0; d < dim; ++d) Set(t, d, normal(random));
    }
  }
  FencedTokens(const FencedTokens&) = delete;
  FencedTokens& operator=(const FencedTokens&) = delete;
  ~FencedTokens() { munmap(map_, static_cast<size_t>(map_bytes_)); }

  const void* const* addresses() const { return const_cast<const void* const*>(addresses_.data()); }

  void Set(int64_t t, int64_t d, float value) {
    void* to = Element(t, d);
    const uint16_t half =
        dtype_ == DType::kFloat16 ? FloatToFloat16(value) : FloatToBFloat16(value);
    if (dtype_ == DType::kFloat32) {
      std::memcpy(to, &value, sizeof value);
    } else {
      std::memcpy(to, &half, sizeof half);
    }
  }
  double At(int64_t t, int64_t d) const {
    float value;
    uint16_t half;
    std::memcpy(&value, Element(t, d), dtype_ == DType::kFloat32 ? sizeof value : 0);
    if (dtype_ == DType::kFloat32) return value;
    std::memcpy(&half, Element(t, d), sizeof half);
    return dtype_ == DType::kFloat16 ? Float16ToFloat(half) : BFloat16ToFloat(half);
  }

 private:
  char* Element(int64_t t, int64_t d) const {
    return static_cast<char*>(addresses_[static_cast<size_t>(t)]) + d * TokenElementBytes(dtype_);
  }

  DType dtype_;
  int64_t dim_;
  char* map_;
  int64_t map_bytes_;
  std::vector<void*> addresses_;
};

std::vector<float> NormalFloats(int64_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

class StreamKernels : public testing::TestWithParam<std::tuple<CpuIsa, DType>> {
 protected:
  const TileKernels& kernels() const { return Fp32TileKernels(std::get<0>(GetParam())); }
  DType dtype() const { return std::get<1>(GetParam()); }

  // [rows][stride], with room for one group more than is written.
  std::vector<float> Scores(const FencedTokens& keys, const std::vector<float>& queries,
                            int64_t rows, int64_t count, int64_t dim, int64_t first_row = 0,
                            int64_t first_key = 0) const {
    const int64_t stride = ScoreStride(count);
    std::vector<float> scores(static_cast<size_t>(rows * stride), kUntouchedScore);
    kernels().stream_scores({.queries = queries.data() + first_row * dim,
                             .tokens = keys.addresses() + first_key,
                             .dtype = dtype(),
                             .dim = dim,
                             .scores = scores.data(),
                             .stride = stride,
                             .rows = rows,
                             .count = count});
    return scores;
  }
  static int64_t ScoreStride(int64_t count) { return OutStride(count) + kLaneCount; }
  static int64_t OutStride(int64_t dim) { return (dim + kLaneCount - 1) / kLaneCount * kLaneCount; }

  // `out` after the call; weights are [rows][count].
  std::vector<float> Values(const FencedTokens& values, const std::vector<float>& weights,
                            const std::vector<float>& carry, std::vector<float> out, int64_t rows,
                            int64_t count, int64_t dim, int64_t first_row = 0) const {
    kernels().stream_values({.weights = weights.data() + first_row * count,
                             .stride = count,
                             .tokens = values.addresses(),
                             .dtype = dtype(),
                             .dim = dim,
                             .carry = carry.data() + first_row,
                             .out = out.data() + first_row * OutStride(dim),
                             .rows = rows,
                             .count = count});
    return out;
  }

  void CheckScores(int64_t rows, int64_t count, int64_t dim) const {
    SCOPED_TRACE(absl::StrCat("rows ", rows, ", keys ", count, ", dim ", dim));
    const FencedTokens keys(dtype(), count, dim, 1);
    const std::vector<float> queries = NormalFloats(rows * dim, 2);
    const std::vector<float> scores = Scores(keys, queries, rows, count, dim);
    const int64_t stride = ScoreStride(count);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < stride; ++c) {
        const float score = scores[static_cast<size_t>(r * stride + c)];
        if (c >= count) {
          ASSERT_EQ(score, c < OutStride(count) ? -kStreamInfinity : kUntouchedScore)
              << r << ", " << c;
          continue;
        }
        double sum = 0;
        double size = 0;
        for (int64_t d = 0; d < dim; ++d) {
          const double product = double{queries[static_cast<size_t>(r * dim + d)]} * keys.At(c, d);
          sum += product;
          size += std::abs(product);
        }
        // At most dim roundings on the way of any product.
        ASSERT_NEAR(score, sum, size * static_cast<double>(dim) * 0x1p-24) << r << ", " << c;
      }
    }
  }

  void CheckValues(int64_t rows, int64_t count, int64_t dim) const {
    SCOPED_TRACE(absl::StrCat("rows ", rows, ", values ", count, ", dim ", dim));
    const FencedTokens values(dtype(), count, dim, 3);
    const std::vector<float> weights = NormalFloats(rows * count, 4);
    const std::vector<float> carry = NormalFloats(rows, 5);
    const std::vector<float> before = NormalFloats((rows + 1) * OutStride(dim), 6);
    const std::vector<float> out = Values(values, weights, carry, before, rows, count, dim);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < dim; ++c) {
        const auto at = static_cast<size_t>(r * OutStride(dim) + c);
        double sum = double{carry[static_cast<size_t>(r)]} * before[at];
        double size = std::abs(sum);
        for (int64_t t = 0; t < count; ++t) {
          const double product =
              double{weights[static_cast<size_t>(r * count + t)]} * values.At(t, c);
          sum += product;
          size += std::abs(product);
        }
        ASSERT_NEAR(out[at], sum, size * static_cast<double>(count + 2) * 0x1p-24)
            << r << ", " << c;
      }
    }
    for (size_t i = static_cast<size_t>(rows * OutStride(dim)); i < out.size(); ++i) {
      ASSERT_EQ(out[i], before[i]) << "beyond the last row";
    }
  }
};

INSTANTIATE_TEST_SUITE_P(All, StreamKernels,
                         testing::Combine(testing::ValuesIn(SupportedCpuIsas()),
                                          testing::Values(DType::kFloat32, DType::kFloat16,
                                                          DType::kBFloat16)),
                         [](const auto& tested) {
                           return absl::StrCat(Name(std::get<0>(tested.param)), "_",
                                               Name(std::get<1>(tested.param)));
                         });

constexpr int64_t kStreamDims[] = {1,  2,  7,  8,  9,  15, 16,  17,  24,  31,  32,
                                   33, 47, 63, 64, 80, 96, 127, 128, 160, 255, 256};
constexpr int64_t kSomeRows[] = {1, 2, 3, 4, 5, 8, 15, kStreamRows};
constexpr int64_t kStreamCounts[] = {1, 2, 15, 16, 17, 31, 33, 64, 100, 255, 256};

TEST_P(StreamKernels, ScoresAreDotProductsAtAnyShape) {
  size_t next = 0;
  for (const int64_t dim : kStreamDims) {
    for (const int64_t rows : kSomeRows) {
      CheckScores(rows, kStreamCounts[next++ % std::size(kStreamCounts)], dim);
    }
  }
}

TEST_P(StreamKernels, ValuesAreWeightedSumsAtAnyShape) {
  size_t next = 0;
  for (const int64_t dim : kStreamDims) {
    for (const int64_t rows : kSomeRows) {
      CheckValues(rows, kStreamCounts[next++ % std::size(kStreamCounts)], dim);
    }
  }
}

TEST_P(StreamKernels, EveryHeadDimIsServed) {
  for (int64_t dim = 1; dim <= 256; ++dim) {
    CheckScores(1 + dim % 8, 5, dim);
    CheckValues(1 + dim % 8, 5, dim);
  }
}

TEST_P(StreamKernels, EveryCountOfTokensIsServed) {
  for (int64_t count = 1; count <= kTileColumns; ++count) {
    CheckScores(1 + count % 8, count, 20);
    CheckValues(1 + count % 8, count, 20);
  }
}

TEST_P(StreamKernels, ARowDoesNotDependOnTheRowsBesideIt) {
  for (const int64_t dim : {8, 33, 80, 128, 200}) {
    SCOPED_TRACE(dim);
    constexpr int64_t kCount = 37;
    const FencedTokens tokens(dtype(), kCount, dim, 7);
    const std::vector<float> queries = NormalFloats(kStreamRows * dim, 8);
    const std::vector<float> weights = NormalFloats(kStreamRows * kCount, 9);
    const std::vector<float> carry = NormalFloats(kStreamRows, 10);
    const std::vector<float> before = NormalFloats(kStreamRows * OutStride(dim), 11);
    std::vector<float> scores;
    std::vector<float> out = before;
    for (int64_t r = 0; r < kStreamRows; ++r) {
      const std::vector<float> row = Scores(tokens, queries, 1, kCount, dim, r);
      scores.insert(scores.end(), row.begin(), row.end());
      out = Values(tokens, weights, carry, out, 1, kCount, dim, r);
    }
    for (const int64_t rows : kSomeRows) {
      const std::vector<float> together = Scores(tokens, queries, rows, kCount, dim);
      ASSERT_TRUE(std::equal(together.begin(), together.end(), scores.begin())) << rows;
      const std::vector<float> sums = Values(tokens, weights, carry, before, rows, kCount, dim);
      ASSERT_TRUE(std::equal(sums.begin(), sums.begin() + rows * OutStride(dim), out.begin()))
          << rows;
    }
  }
}

TEST_P(StreamKernels, AScoreDoesNotDependOnTheOtherKeys) {
  for (const int64_t dim : {8, 33, 128}) {
    constexpr int64_t kCount = 41;
    const FencedTokens keys(dtype(), kCount, dim, 12);
    const std::vector<float> queries = NormalFloats(4 * dim, 13);
    const std::vector<float> scores = Scores(keys, queries, 4, kCount, dim);
    for (int64_t c = 0; c < kCount; ++c) {
      const std::vector<float> alone = Scores(keys, queries, 4, 1, dim, 0, c);
      for (int64_t r = 0; r < 4; ++r) {
        ASSERT_EQ(scores[static_cast<size_t>(r * ScoreStride(kCount) + c)],
                  alone[static_cast<size_t>(r * ScoreStride(1))])
            << "dim " << dim << ", row " << r << ", key " << c;
      }
    }
  }
}

// Where steps overlap, an element is neither counted twice nor turned to NaN by a weight of zero.
TEST_P(StreamKernels, AnInfiniteElementCountsOnceWhereverItStands) {
  for (const int64_t dim : {5, 19, 33, 72}) {
    for (int64_t d = 0; d < dim; ++d) {
      SCOPED_TRACE(absl::StrCat("dim ", dim, ", element ", d));
      FencedTokens tokens(dtype(), 3, dim, 14);
      tokens.Set(1, d, kStreamInfinity);
      const std::vector<float> ones(static_cast<size_t>(2 * dim), 1);
      const std::vector<float> scores = Scores(tokens, ones, 2, 3, dim);
      ASSERT_TRUE(std::isfinite(scores[0]) && std::isfinite(scores[2]));
      ASSERT_EQ(scores[1], kStreamInfinity);

      const std::vector<float> out =
          Values(tokens, std::vector<float>(6, 1), {1, 1},
                 std::vector<float>(static_cast<size_t>(2 * OutStride(dim))), 2, 3, dim);
      for (int64_t c = 0; c < dim; ++c) {
        ASSERT_EQ(out[static_cast<size_t>(c)] == kStreamInfinity, c == d) << c;
        ASSERT_FALSE(std::isnan(out[static_cast<size_t>(c)])) << c;
      }

      // And an infinite query, where keys are not zero.
      std::vector<float> query(static_cast<size_t>(dim), 1);
      query[static_cast<size_t>(d)] = kStreamInfinity;
      ASSERT_EQ(std::abs(Scores(tokens, query, 1, 1, dim)[0]), kStreamInfinity);
    }
  }
}

}  // namespace
}  // namespace attn
