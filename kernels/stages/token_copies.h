// Copies of q, k and v as a backend wants them: one tensor each, joined and rotated.
#ifndef ATTN_KERNELS_STAGES_TOKEN_COPIES_H_
#define ATTN_KERNELS_STAGES_TOKEN_COPIES_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "kernels/core/scratch.h"
#include "kernels/core/tensor_view.h"
#include "kernels/stages/joined_tokens.h"
#include "kernels/stages/rotary_tables.h"

namespace attn {

// One tensor's copy. Borrows the tables and what the views do.
struct TokenCopy {
  JoinedTokens from;
  MutableTensorView to;                  // Of from's dtype.
  const RotaryTables* rotary = nullptr;  // Null = tokens are not rotated.
  int64_t first_position = 0;            // Of from.first's tokens, which alone are rotated.
};

// Elements that one tile handles, about: 64 Ki are 128 or 256 KiB of a tensor, far more than the
// cost of taking a tile, far less than a worker may be held for.
inline constexpr int64_t kStageTileElements = int64_t{1} << 16;

// Distinct tiles may run concurrently.
class TokenCopies {
 public:
  void Add(const TokenCopy& copy);

  int64_t tiles() const { return tiles_; }
  absl::Status RunTile(int64_t tile, Scratch& scratch) const;

 private:
  struct Planned {
    TokenCopy copy;
    int64_t rows;    // Tokens a tile: those of one sample and head.
    int64_t chunks;  // Tiles of one sample and head.
    int64_t first_tile;
  };

  std::vector<Planned> copies_;
  int64_t tiles_ = 0;
};

}  // namespace attn

#endif  // ATTN_KERNELS_STAGES_TOKEN_COPIES_H_
