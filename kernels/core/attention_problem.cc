#include "kernels/core/attention_problem.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace attn {

absl::Status CheckSkippedOutputs(const AttentionProblem& problem) {
  if (problem.stages.skip_scores.mode == SkipMode::kNone) return absl::OkStatus();
  const std::pair<const char*, bool> outputs[] = {{"lse", problem.wanted.lse},
                                                  {"weights", problem.wanted.weights},
                                                  {"plan", problem.wanted.plan}};
  for (const auto& [name, wanted] : outputs) {
    if (!wanted) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "outputs.", name, ": not allowed with skip_scores, whose output is not one softmax"));
  }
  return absl::OkStatus();
}

}  // namespace attn
