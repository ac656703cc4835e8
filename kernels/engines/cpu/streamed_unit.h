// A unit of so few rows that packing keys and values would cost more than it saves: they are read
// where the caller has them, once for all rows.
#ifndef ATTN_KERNELS_ENGINES_CPU_STREAMED_UNIT_H_
#define ATTN_KERNELS_ENGINES_CPU_STREAMED_UNIT_H_

#include <array>
#include <cstdint>

#include "kernels/core/attention_call.h"
#include "kernels/engines/cpu/plan_tokens.h"
#include "kernels/engines/cpu/tile_modifiers.h"
#include "kernels/engines/cpu/tile_visibility.h"
#include "kernels/engines/cpu/token_addresses.h"
#include "kernels/engines/cpu/unit_context.h"
#include "kernels/engines/cpu/unit_workspace.h"
#include "kernels/engines/cpu/work_split.h"

namespace attn {

// One unit's run. The queries are loaded, the states and the output cleared.
class StreamedUnit {
 public:
  // Whether a key meets so few rows, and the plan has no pools.
  static bool Suits(const AttentionProblem& problem);
  static bool Suits(const AttentionProblem& problem, const Plan& plan);

  // Of UnitWorkspace::copies.
  static int64_t CopyFloats(const AttentionCall& call);

  // `context.kernels` is an fp32 table.
  StreamedUnit(const UnitContext& context, const Unit& unit, const UnitWorkspace& work);

  // Takes in the unit's share of its row of the plan; returns the number of score elements
  // computed.
  double Run();

 private:
  void RunDenseRow();
  void RunListedRow();
  // Up to kTileColumns keys, of which `visibility` tells which count.
  void RunTokens(const TokenRange& keys, const TileVisibility& visibility);
  // Rows [first, first + rows) against the tokens in `keys_` and `values_`.
  void RunRows(int64_t first, int64_t rows);
  void AddToken(int64_t token);
  // Their scores of rows [first, first + rows), as the softmax takes them.
  void ComputeScores(int64_t first, int64_t rows);

  const UnitContext& context_;
  const Unit& unit_;
  const UnitWorkspace& work_;
  const RowBlock block_;  // The unit's only one.
  TokenAddresses keys_;
  TokenAddresses values_;
  TileModifiers modifiers_;
  TokenRange range_;                            // Those tokens, or, where they do not follow
  std::array<int32_t, kTileColumns> gathered_;  // each other and `range_` is empty, these.
  double elements_ = 0;
};

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_STREAMED_UNIT_H_
