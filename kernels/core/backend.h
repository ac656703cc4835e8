// A backend: a method run by an engine at a precision, behind one interface.
//
//   caller        Prepare(call) -> Execution
//   executor      for each phase p in order: RunTile(p, 0 .. tiles-1, scratch), any thread, any
//                 order, in parallel; then Finish()
//                 or, if the backend launches batches: Launch(executions), then each one's Finish()
//
// The executor owns threads, order among calls, deadlines and cancellation (checked between
// tiles); a backend owns what a tile is. A call may be dropped after any tile: the execution is
// then destroyed without Finish.
#ifndef ATTN_KERNELS_CORE_BACKEND_H_
#define ATTN_KERNELS_CORE_BACKEND_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/capabilities.h"
#include "kernels/core/options.h"
#include "kernels/core/run_stats.h"
#include "kernels/core/scratch.h"

namespace attn {

// What a phase's time is reported as.
enum class Stage : uint8_t { kPlan, kKernel };

struct Phase {
  Stage stage = Stage::kKernel;
  int64_t tiles = 0;  // 0 = nothing to do, goes on to the next phase.
};

// One call on one backend. Views of the call stay valid while it lives.
class Execution {
 public:
  virtual ~Execution() = default;

  virtual int phase_count() const = 0;

  // Asked once, after every tile of the phases before it has run.
  virtual Phase phase(int index) = 0;

  // Runs one tile. Distinct tiles of a phase run concurrently; the scratch belongs to the thread,
  // and the caller has reset it. The first error ends the call.
  virtual absl::Status RunTile(int phase, int64_t tile, Scratch& scratch) = 0;

  // After all tiles; called once.
  virtual absl::StatusOr<RunResult> Finish() = 0;
};

struct BackendInfo {
  std::string name;    // Canonical.
  std::string device;  // `cpu`, `cuda:0`
  std::string method;  // `dense`, `psa`, ...
  std::string engine;  // `reference`, `cpu`, ...
  // `fp64`, `fp32`, `mixed` (operands of bf16 inputs are bf16, sums fp32), ...
  std::string precision;
  // What the engine chose on this machine, for people: `avx512_bf16`. Empty where it has no choice.
  std::string variant;
  std::string origin = "builtin";  // Or the file name of the plug-in that brought it.
  std::string description;         // One sentence, for people.
  bool exact = true;  // Not an approximation: automatic selection may choose it unasked.
  // Place in the automatic order: expected time a score element relative to the others on the
  // same machine, ascending.
  int cost_rank = 0;
  Capabilities capabilities;
  std::span<const OptionSpec> options;  // Static storage.
};

// Stateless or internally synchronised: every method may be called from any thread.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual const BackendInfo& info() const = 0;

  // OK if the machine has what it needs, else UNAVAILABLE saying what is missing.
  virtual absl::Status Available() const { return absl::OkStatus(); }

  // OK, or UNIMPLEMENTED naming the first thing that does not fit. Options are validated apart.
  virtual absl::Status Supports(const AttentionProblem& problem) const {
    return info().capabilities.Check(info().name, problem);
  }

  // What Supports cannot see, the options against the problem: OK, or INVALID_ARGUMENT. `options`
  // are valid; asked once they are merged.
  virtual absl::Status Check(const AttentionProblem& /*problem*/,
                             const OptionMap& /*options*/) const {
    return absl::OkStatus();
  }

  // Bytes of workspace that an execution allocates beside its outputs, for admission. Options as in
  // Check.
  virtual int64_t WorkspaceBytes(const AttentionProblem& problem,
                                 const OptionMap& options) const = 0;

  // `call` was validated, Supports and Check were OK. Cheap: planning is a phase. The call is
  // borrowed until the execution is destroyed. What `extra` holds may be read already, but q, k and
  // v are first there when a tile runs: stages around a backend fill them in a phase of their own.
  virtual absl::StatusOr<std::unique_ptr<Execution>> Prepare(const AttentionCall& call) const = 0;

  // Whether calls run by Launch, many at once, instead of tile by tile: for a device that charges
  // for each launch, whatever its size.
  virtual bool launches_batches() const { return false; }

  // Runs every phase of every execution, all of this backend, as one launch; returns when they are
  // complete. A bad statuses[i] (all are OK before) is execution i's own error and touches no
  // other; the others are then finished. Each result is bit-identical to that of a launch alone.
  // One launch a device at a time.
  virtual void Launch(std::span<Execution* const> /*executions*/,
                      std::span<absl::Status> statuses) const {
    for (absl::Status& status : statuses) {
      status = absl::InternalError(info().name + " launches no batches");
    }
  }
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_BACKEND_H_
