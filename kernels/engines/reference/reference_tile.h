// A group of query rows of one sample and head, with what they see and their working memory.
#ifndef ATTN_KERNELS_ENGINES_REFERENCE_REFERENCE_TILE_H_
#define ATTN_KERNELS_ENGINES_REFERENCE_REFERENCE_TILE_H_

#include <array>
#include <cstdint>

#include "absl/status/status.h"
#include "kernels/core/attention_problem.h"
#include "kernels/core/mask.h"
#include "kernels/core/mask_predicate.h"
#include "kernels/core/online_softmax.h"
#include "kernels/core/scratch.h"

namespace attn {

// Lives in one RunTile; its memory is the thread's scratch.
struct ReferenceTile {
  // Rows share each key and value that is loaded.
  static constexpr int64_t kRows = 16;

  // Scratch of a tile whose rows see `keys` keys.
  static int64_t Bytes(const AttentionProblem& problem, int64_t keys);

  // Takes its memory, once b, head, begin, end and keys are set.
  absl::Status Allocate(const AttentionProblem& problem, Scratch& scratch);

  // Fills `visible`; returns how many are.
  int64_t FindVisible(const MaskPredicate& mask);

  int64_t b = 0;
  int64_t head = 0;
  int64_t begin = 0;  // Queries [begin, end).
  int64_t end = 0;
  KeyInterval keys;  // Holds all that some row sees.
  std::array<SoftmaxState<double>, kRows> states;
  double* queries = nullptr;    // [D, kRows]: transposed, absent rows 0
  double* scores = nullptr;     // [rows, keys.size()], later the weights; of hidden keys unset
  double* out = nullptr;        // [rows, Dv]
  float* bias = nullptr;        // [keys.size()], of one row
  uint64_t* visible = nullptr;  // [rows, words()], a bit a key, least significant first

  int64_t rows() const { return end - begin; }
  int64_t words() const { return (keys.size() + 63) / 64; }
  bool Sees(int64_t row, int64_t key) const {
    if (key < keys.begin || key >= keys.end) return false;
    const int64_t bit = key - keys.begin;
    return ((visible[row * words() + bit / 64] >> (bit % 64)) & 1U) != 0;
  }
  bool AnySees(int64_t key) const {
    for (int64_t row = 0; row < rows(); ++row) {
      if (Sees(row, key)) return true;
    }
    return false;
  }
  double* score(int64_t row, int64_t key) const {
    return scores + row * keys.size() + (key - keys.begin);
  }
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_REFERENCE_REFERENCE_TILE_H_
