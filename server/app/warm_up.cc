#include "server/app/warm_up.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "kernels/core/aligned_buffer.h"
#include "kernels/core/attention_problem.h"
#include "kernels/core/mask.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/saturating.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// Some blocks of every engine, and milliseconds for the slowest.
constexpr int64_t kTokens = 256;
constexpr int64_t kHeadDim = 64;  // Where the backend takes any.
// A head each, so that every worker gets a tile; no more than this on machines with many.
constexpr int64_t kMaxHeads = 32;

absl::StatusOr<AttentionProblem> SmallProblem(const Backend& backend, DType dtype, int workers) {
  const Capabilities& capabilities = backend.info().capabilities;
  AttentionProblem problem;
  problem.batch = 1;
  problem.heads = std::clamp<int64_t>(workers, 1, kMaxHeads);
  problem.kv_heads = problem.heads;
  problem.query_len = kTokens;
  problem.key_len = kTokens;
  problem.head_dim =
      capabilities.head_dims.empty()
          ? std::clamp(kHeadDim, capabilities.min_head_dim, capabilities.max_head_dim)
          : capabilities.head_dims[0];
  problem.value_dim = problem.head_dim;
  problem.dtype = dtype;
  problem.out_dtype = dtype;
  problem.scale = 1.0 / std::sqrt(static_cast<double>(problem.head_dim));
  ATTN_ASSIGN_OR_RETURN(problem.mask, IntervalMask::Create({}, 1, kTokens, kTokens));
  ATTN_RETURN_IF_ERROR(backend.Supports(problem));
  ATTN_RETURN_IF_ERROR(backend.Check(problem, {}));
  return problem;
}

// Runs the call and waits for its end. q, k and v share zeros: what is computed does not matter.
absl::Status RunCall(const Backend& backend, const AttentionProblem& problem, Executor* executor) {
  const int64_t dims[] = {1, problem.heads, kTokens, problem.head_dim};
  const TensorLayout layout = TensorLayout::Contiguous(dims);
  const int64_t bytes = ByteSize(problem.dtype, layout.element_count());
  const AlignedBuffer input = AlignedBuffer::Allocate(bytes);
  const AlignedBuffer output = AlignedBuffer::Allocate(bytes);
  if (input.data() == nullptr || output.data() == nullptr) {
    return absl::ResourceExhaustedError("no memory");
  }
  std::memset(input.data(), 0, static_cast<size_t>(bytes));

  Job job;
  job.backend = &backend;
  job.call.problem = problem;
  job.call.q = job.call.k = job.call.v = TensorView{input.data(), problem.dtype, layout};
  job.call.out = MutableTensorView{output.data(), problem.dtype, layout};
  job.reserved_bytes = SaturatingAdd(2 * bytes, backend.WorkspaceBytes(problem, {}));
  job.caller_id = "warm-up";
  absl::Status status;
  absl::Notification ended;
  job.done = [&](JobOutcome outcome) {
    status = std::move(outcome.status);
    ended.Notify();
  };
  ATTN_RETURN_IF_ERROR(executor->Submit(std::move(job)).status());
  ended.WaitForNotification();
  return status;
}

void WarmUpBackend(const Backend& backend, DType dtype, Executor* executor, PolicyState* policy,
                   ServerLog* log) {
  const std::string& name = backend.info().name;
  const std::string dtype_name(Name(dtype));
  const absl::StatusOr<AttentionProblem> problem =
      SmallProblem(backend, dtype, executor->workers());
  if (!problem.ok()) {
    log->Write(LogLevel::kDebug, "not warmed up, a plain call does not fit it",
               {{"backend", name},
                {"dtype", dtype_name},
                {"reason", std::string(problem.status().message())}});
    return;
  }
  const absl::Time started = absl::Now();
  const absl::Status status = RunCall(backend, *problem, executor);
  if (status.ok()) {
    log->Write(LogLevel::kDebug, "warmed up",
               {{"backend", name},
                {"dtype", dtype_name},
                {"ms", absl::StrCat(absl::ToDoubleMilliseconds(absl::Now() - started))}});
    return;
  }
  const bool fault = status.code() == absl::StatusCode::kInternal;
  log->Write(LogLevel::kError, fault ? "warm-up failed, quarantined" : "warm-up failed",
             {{"backend", name}, {"dtype", dtype_name}, {"error", std::string(status.message())}});
  if (!fault) return;
  // Refused only where an operator's quarantine stands: the name is canonical, the reason short and
  // without control characters.
  policy
      ->QuarantineBackend(name, absl::StrCat("warm-up failed: ", Quoted(status.message())),
                          /*automatic=*/true)
      .IgnoreError();
}

}  // namespace

void WarmUp(const Registry& registry, Executor* executor, PolicyState* policy, ServerLog* log,
            absl::FunctionRef<bool()> stopping) {
  for (const Backend* backend : registry.backends()) {
    if (const absl::Status available = backend->Available(); !available.ok()) {
      log->Write(LogLevel::kInfo, "backend not available",
                 {{"backend", backend->info().name}, {"reason", std::string(available.message())}});
      continue;
    }
    for (const DType dtype : backend->info().capabilities.dtypes) {
      if (!IsFloat(dtype)) continue;
      if (stopping()) return;
      WarmUpBackend(*backend, dtype, executor, policy, log);
    }
  }
}

}  // namespace attn
