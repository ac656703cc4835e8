// The status pair: the only macros for control flow.
#ifndef ATTN_KERNELS_CORE_STATUS_MACROS_H_
#define ATTN_KERNELS_CORE_STATUS_MACROS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define ATTN_STATUS_CONCAT_INNER(a, b) a##b
#define ATTN_STATUS_CONCAT(a, b) ATTN_STATUS_CONCAT_INNER(a, b)

// Returns from the enclosing function if `expression` is not OK.
#define ATTN_RETURN_IF_ERROR(expression)                                                \
  do {                                                                                  \
    if (absl::Status attn_status = (expression); !attn_status.ok()) return attn_status; \
  } while (false)

// Declares or assigns `target` from a StatusOr, or returns its error.
#define ATTN_ASSIGN_OR_RETURN(target, expression) \
  ATTN_ASSIGN_OR_RETURN_IMPL(ATTN_STATUS_CONCAT(attn_status_or_, __LINE__), target, expression)
#define ATTN_ASSIGN_OR_RETURN_IMPL(holder, target, expression) \
  auto holder = (expression);                                  \
  if (!holder.ok()) return std::move(holder).status();         \
  target = *std::move(holder)

#endif  // ATTN_KERNELS_CORE_STATUS_MACROS_H_
