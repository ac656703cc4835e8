// What is known of a mask program over a rectangle of blocks without looking at its elements: from
// the least and the largest position, id and flag of each side.
#ifndef ATTN_KERNELS_CORE_MASK_BOUNDS_H_
#define ATTN_KERNELS_CORE_MASK_BOUNDS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/core/mask_program.h"
#include "kernels/core/mask_verdict.h"
#include "kernels/core/token_axis.h"
#include "kernels/core/token_tiles.h"

namespace attn {

// Key blocks [index << level, (index + 1) << level), as far as there are any.
struct KeyBlocks {
  int level = 0;
  int64_t index = 0;
};

// Built in tiles of bounded work, then read by all threads. Borrows the program.
class MaskBounds {
 public:
  MaskBounds(const MaskProgram& program, int64_t block_q, int64_t block_k);

  // Each reads the tables of some tokens; distinct ones run concurrently.
  int64_t tiles() const;
  void RunTile(int64_t tile);
  // After all tiles, before Over: the levels that hold key blocks of several tiles.
  void Finish();

  // Levels of key blocks: the last one has one range of them all.
  int levels() const { return static_cast<int>(level_sizes_.size()); }
  int64_t size(int level) const { return level_sizes_[static_cast<size_t>(level)]; }

  MaskVerdict Over(int64_t b, int64_t head, int64_t query_block, KeyBlocks keys) const;

  // Memory at most, of a program with so many tables; one of keys alone counts as any.
  static double Bytes(int64_t samples, int64_t tables, int64_t query_blocks, int64_t key_blocks);

 private:
  // A node, and where in the ranges of a sample it has its own: of what its table holds for the
  // tokens of each side, ids, flags (of keys alone), or new positions.
  struct Node {
    const ProgramNode* node = nullptr;
    int64_t queries = kNone;  // [query blocks]
    int64_t keys = kNone;     // [all levels, the finest first]
    std::vector<Node> args;
  };
  static constexpr int64_t kNone = -1;
  struct Rectangle;
  class Visitor;

  Node Mirror(const ProgramNode& node);
  void BuildQueries(const Node& node, int64_t sample, const TokenAxis& queries);
  void BuildKeys(const Node& node, int64_t sample, const TokenAxis& keys);
  void MergeLevels(const Node& node, int64_t sample, int first_level, int last_level,
                   int64_t first_block, int64_t last_block);
  void FinishNode(const Node& node, int64_t sample);

  ValueRange* RangesOf(int64_t sample) const { return ranges_.get() + sample * sample_ranges_; }
  ValueRange* Level(int64_t sample, int64_t keys, int level) const {
    return RangesOf(sample) + keys + level_begin_[static_cast<size_t>(level)];
  }

  const MaskProgram& program_;
  const int64_t block_q_;
  const int64_t block_k_;
  std::vector<int64_t> level_sizes_;
  std::vector<int64_t> level_begin_;  // Among the ranges of keys of one table.
  int64_t key_ranges_ = 0;            // Of all levels.
  int64_t sample_ranges_ = 0;         // Of all tables of a sample.
  Node root_;
  int tile_levels_ = 0;  // A tile of keys holds whole blocks of levels up to this one.
  TokenTiles query_tiles_;
  TokenTiles key_tiles_;
  struct Free {
    void operator()(ValueRange* ranges) const;
  };
  // [samples][sample_ranges_], raw memory until a tile builds them.
  std::unique_ptr<ValueRange, Free> ranges_;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_MASK_BOUNDS_H_
