// Recognises a program whose visible keys form one interval a query (causal, windows, chunks,
// lengths, left and right padding, packed sequences, prefixes, and what AND and OR make of them):
// such a mask takes the implicit plans.
#ifndef ATTN_KERNELS_CORE_MASK_INTERVALS_H_
#define ATTN_KERNELS_CORE_MASK_INTERVALS_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/core/key_run_tables.h"
#include "kernels/core/mask.h"
#include "kernels/core/mask_program.h"
#include "kernels/core/token_tiles.h"

namespace attn {

// The mask that a program AND other intervals make, found in phases of tiles of bounded work:
// distinct tiles of a phase run concurrently. Borrows both.
class IntervalSearch {
 public:
  IntervalSearch(const MaskProgram& program, const IntervalMask& also);

  static constexpr int kPhases = KeyRunTables::kPhases + 1;
  // Asked after every tile of the phases before has run; 0 once it is known that nothing is found.
  int64_t tiles(int phase);
  void RunTile(int phase, int64_t tile);

  // After all phases: nullopt if it is not one interval a query for every head, or not found to be.
  std::optional<IntervalMask> Take();

  // Memory at most, of a program with so many tables (KeyRunTables::Bytes).
  static double Bytes(int64_t samples, int64_t tables, int64_t queries, int64_t keys);

 private:
  bool FindRows(int64_t tile);

  const MaskProgram& program_;
  const IntervalMask& also_;
  const TokenTiles queries_;
  std::atomic<bool> possible_;
  std::optional<KeyRunTables> tables_;   // Where it is possible.
  std::vector<IntervalMask::Row> rows_;  // [samples][Sq]
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_MASK_INTERVALS_H_
