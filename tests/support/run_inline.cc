#include "tests/support/run_inline.h"

#include <memory>
#include <utility>

#include "kernels/core/options.h"
#include "kernels/core/status_macros.h"

namespace attn {

absl::StatusOr<RunResult> RunInline(const Backend& backend, const AttentionCall& call) {
  ATTN_RETURN_IF_ERROR(backend.Available());
  ATTN_RETURN_IF_ERROR(backend.Supports(call.problem));
  ATTN_RETURN_IF_ERROR(ValidateOptions(backend.info().name, call.options, backend.info().options));
  ATTN_RETURN_IF_ERROR(backend.Check(call.problem, call.options));
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<Execution> execution, backend.Prepare(call));
  Scratch scratch;
  for (int index = 0; index < execution->phase_count(); ++index) {
    const int64_t tiles = execution->phase(index).tiles;
    for (int64_t tile = 0; tile < tiles; ++tile) {
      scratch.Reset();
      ATTN_RETURN_IF_ERROR(execution->RunTile(index, tile, scratch));
    }
  }
  return execution->Finish();
}

}  // namespace attn
