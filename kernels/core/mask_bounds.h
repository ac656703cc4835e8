// What is known of a mask program over a rectangle of blocks without looking at its elements: from
// the least and the largest position, id and flag of each side.
#ifndef ATTN_KERNELS_CORE_MASK_BOUNDS_H_
#define ATTN_KERNELS_CORE_MASK_BOUNDS_H_

#include <cstdint>
#include <vector>

#include "kernels/core/mask_program.h"
#include "kernels/core/mask_verdict.h"
#include "kernels/core/token_axis.h"

namespace attn {

// Key blocks [index << level, (index + 1) << level), as far as there are any.
struct KeyBlocks {
  int level = 0;
  int64_t index = 0;
};

// Built sample by sample, then read by all threads. Borrows the program.
class MaskBounds {
 public:
  MaskBounds(const MaskProgram& program, int64_t block_q, int64_t block_k);

  // Its tables: one for all samples where the program does not tell them apart.
  int64_t samples() const { return static_cast<int64_t>(tables_.size()); }
  // Reads the tables' tokens, in time proportional to them; distinct samples concurrently.
  void Build(int64_t sample);

  // Levels of key blocks: the last one has one range of them all.
  int levels() const { return static_cast<int>(level_sizes_.size()); }
  int64_t size(int level) const { return level_sizes_[static_cast<size_t>(level)]; }

  // `b` built.
  MaskVerdict Over(int64_t b, int64_t head, int64_t query_block, KeyBlocks keys) const;

  // Memory of all tables of a program of so many nodes, at most.
  static double Bytes(int64_t samples, int64_t nodes, int64_t query_blocks, int64_t key_blocks);

 private:
  // A node that reads a table of tokens, or holds one that does.
  struct Node {
    const ProgramNode* node = nullptr;
    int64_t table = -1;  // -1 = none
    std::vector<Node> args;
  };
  // What a node reads of each side's tokens: ids, flags (keys alone), or new positions.
  struct Table {
    std::vector<ValueRange> queries;            // [query blocks]
    std::vector<std::vector<ValueRange>> keys;  // [levels][size of the level]
  };
  struct Rectangle;

  Node Mirror(const ProgramNode& node);
  void BuildNode(const Node& node, int64_t sample, const TokenAxis& queries, const TokenAxis& keys);
  template <typename ValueOf>
  void BuildTable(const Node& node, int64_t sample, const TokenAxis& queries, const TokenAxis& keys,
                  const ValueOf& value_of);
  MaskVerdict Visit(const Node& node, const Rectangle& rectangle) const;

  const MaskProgram& program_;
  const int64_t block_q_;
  const int64_t block_k_;
  int64_t table_count_ = 0;
  Node root_;
  std::vector<int64_t> level_sizes_;
  std::vector<std::vector<Table>> tables_;  // [samples][table_count_]
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_MASK_BOUNDS_H_
