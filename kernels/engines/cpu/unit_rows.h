// Rows of a unit from the caller's tensors and back.
#ifndef ATTN_KERNELS_ENGINES_CPU_UNIT_ROWS_H_
#define ATTN_KERNELS_ENGINES_CPU_UNIT_ROWS_H_

#include <cstdint>

#include "kernels/engines/cpu/tile_kernels.h"
#include "kernels/engines/cpu/unit_context.h"
#include "kernels/engines/cpu/unit_workspace.h"
#include "kernels/engines/cpu/work_split.h"

namespace attn {

// Which row of the caller's tensors a row of a block is.
struct TensorRow {
  int64_t head;
  int64_t query;
};
TensorRow RowAt(const Unit& unit, const RowBlock& block, int64_t row);

// Fills the queries, in the operand's form, and clears states and output.
void LoadUnit(const UnitContext& context, const Unit& unit, const UnitWorkspace& work);

// Lets the head's sink join the row, divides `out` by the sum and writes it and the row's LSE.
void StoreRow(const UnitContext& context, const Unit& unit, const RowBlock& block, int64_t row,
              const RowState& state, const float* out);

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_UNIT_ROWS_H_
