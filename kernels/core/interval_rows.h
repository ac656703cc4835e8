// Cuts what some queries of a sample see, one interval each, to what a mask program leaves of it.
#ifndef ATTN_KERNELS_CORE_INTERVAL_ROWS_H_
#define ATTN_KERNELS_CORE_INTERVAL_ROWS_H_

#include <cstdint>
#include <vector>

#include "kernels/core/key_run_tables.h"
#include "kernels/core/mask.h"
#include "kernels/core/mask_program.h"

namespace attn {

// `rows` are of queries [first_query, first_query + size). False = what is left was not found to be
// one interval a query; `rows` are then void. In time proportional to the rows, whatever the
// program is, with a logarithm where tables are searched.
bool NarrowRows(const MaskProgram& program, const KeyRunTables& tables, int64_t b,
                int64_t first_query, std::vector<IntervalMask::Row>& rows);

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_INTERVAL_ROWS_H_
