// A sparse method, or another way to choose blocks: problem and inputs -> plan. An engine makes a
// backend of it.
#ifndef ATTN_KERNELS_CORE_METHOD_H_
#define ATTN_KERNELS_CORE_METHOD_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/capabilities.h"
#include "kernels/core/options.h"
#include "kernels/core/planning.h"

namespace attn {

struct MethodInfo {
  std::string name;         // Of the method and of its backend.
  std::string description;  // One sentence, for people.
  bool exact = false;       // The plan covers all that the mask leaves.
  // Features of masks, heads, scale and outputs that planning honours; what of it an engine lacks,
  // and dtypes, are the engine's to say.
  Capabilities capabilities;
  std::span<const OptionSpec> options;  // Static storage.
};

// Stateless, thread-safe.
class Method {
 public:
  virtual ~Method() = default;

  virtual const MethodInfo& info() const = 0;

  // Beyond the capabilities: OK, or UNIMPLEMENTED naming the first thing that does not fit.
  virtual absl::Status Supports(const AttentionProblem& /*problem*/) const {
    return absl::OkStatus();
  }

  // Backend::Check.
  virtual absl::Status Check(const AttentionProblem& problem, const OptionMap& options) const = 0;

  // Blocks of the plan: the smallest that options leave.
  struct Blocks {
    int64_t q = 0;
    int64_t k = 0;
  };
  virtual Blocks SmallestBlocks(const AttentionProblem& problem,
                                const OptionMap& options) const = 0;

  // Memory of planning and of the plan, for admission.
  virtual int64_t PlanBytes(const AttentionProblem& problem, const OptionMap& options) const = 0;

  // Borrows the call, whose options are valid.
  virtual std::unique_ptr<Planning> Plan(const AttentionCall& call) const = 0;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_METHOD_H_
