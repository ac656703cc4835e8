// Cuts the tokens of some samples into tiles of about as much work: stretches of a long sample, or
// several short samples whole.
#ifndef ATTN_KERNELS_CORE_TOKEN_TILES_H_
#define ATTN_KERNELS_CORE_TOKEN_TILES_H_

#include <algorithm>
#include <cstdint>

#include "kernels/core/ceil_divide.h"

namespace attn {

// Read by every node of a mask program, at most 64, in some milliseconds.
inline constexpr int64_t kTokensPerMaskTile = 8192;

// Rows that every node narrows, some of them several times.
inline constexpr int64_t kQueriesPerMaskTile = 1024;

// Tokens [begin, end) of each of the samples [first_sample, last_sample).
struct TokenTile {
  int64_t first_sample = 0;
  int64_t last_sample = 0;
  int64_t begin = 0;
  int64_t end = 0;
};

// A plain value.
class TokenTiles {
 public:
  TokenTiles(int64_t samples, int64_t tokens, int64_t tokens_per_tile)
      : samples_(samples),
        tokens_(tokens),
        tokens_per_tile_(tokens_per_tile),
        stretches_(CeilDivide(tokens, tokens_per_tile)),
        samples_per_tile_(
            stretches_ > 1 ? 1 : std::max<int64_t>(1, tokens_per_tile / (tokens + kSampleCost))) {}

  int64_t samples() const { return samples_; }
  // Tiles of one sample; they follow each other.
  int64_t stretches() const { return stretches_; }
  int64_t samples_per_tile() const { return samples_per_tile_; }
  int64_t count() const { return CeilDivide(samples_, samples_per_tile_) * stretches_; }

  TokenTile at(int64_t tile) const {
    const int64_t sample = tile / stretches_ * samples_per_tile_;
    const int64_t begin = tile % stretches_ * tokens_per_tile_;
    return {sample, std::min(sample + samples_per_tile_, samples_), begin,
            std::min(begin + tokens_per_tile_, tokens_)};
  }

 private:
  // Tokens whose work a sample takes, however short it is.
  static constexpr int64_t kSampleCost = 64;

  int64_t samples_;
  int64_t tokens_;
  int64_t tokens_per_tile_;
  int64_t stretches_;
  int64_t samples_per_tile_;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_TOKEN_TILES_H_
