// Mask expressions by name, for tables of cases: one of every node and of what models make of
// them.
#ifndef ATTN_TESTS_SUPPORT_NAMED_MASKS_H_
#define ATTN_TESTS_SUPPORT_NAMED_MASKS_H_

#include <string>
#include <vector>

#include "kernels/core/mask_expression.h"
#include "tests/support/random_masks.h"

namespace attn {

// Letters, digits and underscores.
std::vector<std::string> MaskNames();

// Of any sizes; queries stand at the end of the keys where there are fewer of them. Requires a
// known name.
DrawnMask NamedMask(const std::string& name, const MaskSizes& sizes);

}  // namespace attn

#endif  // ATTN_TESTS_SUPPORT_NAMED_MASKS_H_
