// The runs of keys of every table of a mask program, found in tiles of bounded work.
#ifndef ATTN_KERNELS_CORE_KEY_RUN_TABLES_H_
#define ATTN_KERNELS_CORE_KEY_RUN_TABLES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/core/key_runs.h"
#include "kernels/core/mask_program.h"
#include "kernels/core/token_axis.h"
#include "kernels/core/token_tiles.h"

namespace attn {

// Tiles of the first phase run, then those of the second; then it is read by all threads. Borrows
// the program, whose dense masks are of keys alone and which has neither blocks nor functions.
class KeyRunTables {
 public:
  KeyRunTables(const MaskProgram& program, int64_t samples);

  // Phase 0 collects runs from stretches of keys, phase 1 joins those of long samples.
  static constexpr int kPhases = 2;
  int64_t tiles(int phase) const;
  // False: there are too many runs, or ids too much out of order, to be of use.
  bool RunTile(int phase, int64_t tile);

  // Of a packed, blockwise, padding or dense node; of a remap the keys that stand in its table.
  std::span<const KeyRun> of(const ProgramNode& node, int64_t b) const;
  // Of a remap: the keys whose new positions do not fall.
  std::span<const KeyRun> rising(const ProgramNode& remap, int64_t b) const;

  // Memory at most, of so many tables (a remap has two).
  static double Bytes(int64_t samples, int64_t tables, int64_t keys);

 private:
  struct Table {
    const ProgramNode* node = nullptr;
    KeyRunKind kind = KeyRunKind::kFlag;
  };
  // What a tile has collected: the runs of its first sample's tables, of the next one's, ...
  struct Piece {
    std::vector<KeyRun> runs;
    std::vector<size_t> ends;  // [samples][tables]
  };

  void AddTables(const ProgramNode& node);
  bool Collect(const ProgramNode& node, int64_t b, const TokenAxis& keys, Piece* piece);
  template <typename ValueOf>
  bool CollectTable(KeyRunKind kind, const TokenAxis& keys, const ValueOf& value_of, Piece* piece);
  bool Join(int64_t table, int64_t sample);
  std::span<const KeyRun> InPiece(int64_t table, int64_t sample, int64_t stretch) const;
  std::span<const KeyRun> Runs(const ProgramNode& node, KeyRunKind kind, int64_t b) const;

  const MaskProgram& program_;
  const TokenTiles tiles_;
  std::vector<Table> tables_;
  std::vector<Piece> pieces_;                // [tiles]
  std::vector<std::vector<KeyRun>> joined_;  // [samples][tables], of samples of several stretches
  std::atomic<int64_t> count_ = 0;           // Runs in all pieces.
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_KEY_RUN_TABLES_H_
