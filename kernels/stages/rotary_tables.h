// Rotary embedding (arXiv 2104.09864) by the cosines and sines of a call, in fp32; the forms are
// attention.proto's.
#ifndef ATTN_KERNELS_STAGES_ROTARY_TABLES_H_
#define ATTN_KERNELS_STAGES_ROTARY_TABLES_H_

#include <cstdint>

#include "kernels/core/call_stages.h"
#include "kernels/core/tensor_view.h"

namespace attn {

// Borrows the tables, of any float dtype. Immutable, thread-safe.
class RotaryTables {
 public:
  // `tensors` holds the tables that `rotary` names, of validated shapes.
  RotaryTables(const Rotary& rotary, const TensorMap& tensors);

  // D / 2, or D of kFull.
  int64_t columns() const { return cos_.dim(3); }

  // Rotates row [dim] of sample b in place. `angles` has room for 2 * columns().
  void Apply(int64_t b, int64_t position, int64_t dim, float* row, float* angles) const;

 private:
  RotaryForm form_;
  TensorView cos_;  // [B, 1, L, columns], all samples at one place where they share a table.
  TensorView sin_;
};

}  // namespace attn

#endif  // ATTN_KERNELS_STAGES_ROTARY_TABLES_H_
