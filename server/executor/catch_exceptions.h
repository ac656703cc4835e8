// The edge where exceptions of backends, and of libraries that they use, end.
#ifndef ATTN_SERVER_EXECUTOR_CATCH_EXCEPTIONS_H_
#define ATTN_SERVER_EXECUTOR_CATCH_EXCEPTIONS_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "kernels/core/backend.h"

namespace attn {

// What `run` returns, or what it throws as a status that names the backend.
absl::Status CatchExceptions(const Backend& backend, absl::FunctionRef<absl::Status()> run);

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_CATCH_EXCEPTIONS_H_
