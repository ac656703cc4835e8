// The fp32 table of one instruction set.
#ifndef ATTN_KERNELS_ENGINES_CPU_ISA_FP32_KERNELS_H_
#define ATTN_KERNELS_ENGINES_CPU_ISA_FP32_KERNELS_H_

#include "kernels/engines/cpu/isa/modify.h"
#include "kernels/engines/cpu/isa/pack.h"
#include "kernels/engines/cpu/isa/product.h"
#include "kernels/engines/cpu/isa/rows.h"
#include "kernels/engines/cpu/isa/softmax.h"
#include "kernels/engines/cpu/isa/stream.h"
#include "kernels/engines/cpu/isa/vector.h"
#include "kernels/engines/cpu/tile_kernels.h"

namespace attn {

template <typename Isa>
constexpr TileKernels Fp32KernelsOf() {
  return {.operand = Operand::kFloat32,
          .depth_multiple = 1,
          .token_multiple = 1,
          .column_multiple = kLaneCount,
          .load_row = LoadRowAs<Isa>,
          .store_row = StoreRowAs<Isa>,
          .pack_keys = PackKeys<Isa>,
          .pack_values = PackValues<Isa>,
          .modify_scores = ModifyScores<Isa>,
          .hide_scores = HideScores<Isa>,
          .update_softmax = UpdateSoftmax<Isa, Fp32Weights<Isa>>,
          .enter = nullptr,
          .leave = nullptr,
          .compute_scores = ComputeScores<Isa, Fp32Step<Isa>, 1>,
          .accumulate_values = AccumulateValues<Isa, Fp32Step<Isa>, 1>,
          .stream_scores = RunStreamScores<Isa>,
          .stream_values = RunStreamValues<Isa>};
}

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_CPU_ISA_FP32_KERNELS_H_
