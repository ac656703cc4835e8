#include "kernels/core/mask_predicate.h"

#include <algorithm>

#include "kernels/core/flag_bits.h"

namespace attn {
namespace {

// Bits [begin, end) of the word that starts at bit `first`.
uint64_t WordOfRange(int64_t begin, int64_t end, int64_t first) {
  const int64_t from = std::clamp<int64_t>(begin - first, 0, kWordBits);
  const int64_t to = std::clamp<int64_t>(end - first, from, kWordBits);
  return LowBits(to) & ~LowBits(from);
}

// Clears what `seen` leaves out of a row over `keys`.
void HideOutside(const KeyInterval& seen, const TokenRange& keys, uint64_t* row) {
  if (keys.permutation == nullptr) {
    const int64_t begin = seen.begin - keys.begin;
    const int64_t end = seen.end - keys.begin;
    for (int64_t first = 0; first < keys.size(); first += kWordBits) {
      row[first / kWordBits] &= WordOfRange(begin, end, first);
    }
    return;
  }
  for (int64_t i = 0; i < keys.size(); ++i) {
    const int64_t key = keys.original(keys.begin + i);
    const auto hidden = static_cast<uint64_t>(key < seen.begin || key >= seen.end);
    row[i / kWordBits] &= ~(hidden << (i % kWordBits));
  }
}

}  // namespace

void MaskPredicate::Evaluate(int64_t b, int64_t head, const TokenRange& queries,
                             const TokenRange& keys, uint64_t* words,
                             int64_t words_per_query) const {
  if (program != nullptr) program->Evaluate(b, head, queries, keys, words, words_per_query);
  for (int64_t i = 0; i < queries.size(); ++i) {
    uint64_t* const row = words + i * words_per_query;
    for (int64_t first = 0; program == nullptr && first < keys.size(); first += kWordBits) {
      row[first / kWordBits] = LowBits(std::min(keys.size() - first, kWordBits));
    }
    HideOutside(intervals->VisibleKeys(b, queries.original(queries.begin + i)), keys, row);
  }
}

}  // namespace attn
