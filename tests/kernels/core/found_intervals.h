// Runs an IntervalSearch over a drawn mask to its end.
#ifndef ATTN_TESTS_KERNELS_CORE_FOUND_INTERVALS_H_
#define ATTN_TESTS_KERNELS_CORE_FOUND_INTERVALS_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "kernels/core/mask.h"
#include "kernels/core/mask_intervals.h"
#include "kernels/core/mask_program.h"
#include "tests/support/random_masks.h"

namespace attn {

inline MaskProgram BindMask(const DrawnMask& mask) {
  auto program = MaskProgram::Bind(*mask.Create(), mask.tensors.map());
  EXPECT_TRUE(program.ok()) << program.status() << mask.Describe();
  return *std::move(program);
}

inline IntervalMask Everything(const MaskSizes& sizes) {
  return *IntervalMask::Create({}, sizes.batch, sizes.query_len, sizes.key_len);
}

inline std::optional<IntervalMask> FindIntervals(const MaskProgram& program,
                                                 const IntervalMask& also) {
  IntervalSearch search(program, also);
  for (int phase = 0; phase < IntervalSearch::kPhases; ++phase) {
    const int64_t tiles = search.tiles(phase);
    for (int64_t tile = 0; tile < tiles; ++tile) search.RunTile(phase, tile);
  }
  return search.Take();
}

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_CORE_FOUND_INTERVALS_H_
