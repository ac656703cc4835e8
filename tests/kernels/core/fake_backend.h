// A backend without arithmetic: counts what is asked of it and fails where it is told to.
#ifndef ATTN_TESTS_KERNELS_CORE_FAKE_BACKEND_H_
#define ATTN_TESTS_KERNELS_CORE_FAKE_BACKEND_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/core/backend.h"

namespace attn {

struct FakeBehaviour {
  std::vector<int64_t> tiles = {1};  // Of each phase.
  absl::Status available;
  absl::Status supports;
  absl::Status check;
  absl::Status prepare;
  std::string failing_step;  // The step of `steps` at which RunTile fails.
};

// Records every step into `steps`, in order: "prepare", "phase 0", "tile 0.1", "finish".
class FakeExecution : public Execution {
 public:
  FakeExecution(const FakeBehaviour& behaviour, std::vector<std::string>* steps)
      : behaviour_(behaviour), steps_(*steps) {}

  int phase_count() const override { return static_cast<int>(behaviour_.tiles.size()); }

  Phase phase(int index) override {
    steps_.push_back(absl::StrCat("phase ", index));
    return {Stage::kKernel, behaviour_.tiles[static_cast<size_t>(index)]};
  }

  absl::Status RunTile(int phase, int64_t tile, Scratch& scratch) override {
    steps_.push_back(absl::StrCat("tile ", phase, ".", tile));
    if (absl::Status reserved = scratch.Reserve(64); !reserved.ok()) return reserved;
    scratch.Take<char>(64);  // Fits only if the scratch was reset before.
    return steps_.back() == behaviour_.failing_step ? absl::InternalError("tile failed")
                                                    : absl::OkStatus();
  }

  absl::StatusOr<RunResult> Finish() override {
    steps_.push_back("finish");
    RunResult result;
    result.stats.computed_elements = 17;
    return result;
  }

 private:
  const FakeBehaviour& behaviour_;
  std::vector<std::string>& steps_;
};

class FakeBackend : public Backend {
 public:
  FakeBackend(std::string name, int cost_rank, FakeBehaviour behaviour = {})
      : behaviour_(std::move(behaviour)) {
    info_.name = std::move(name);
    info_.cost_rank = cost_rank;
  }

  const std::vector<std::string>& steps() const { return steps_; }

  const BackendInfo& info() const override { return info_; }
  absl::Status Available() const override { return behaviour_.available; }
  absl::Status Supports(const AttentionProblem&) const override { return behaviour_.supports; }
  absl::Status Check(const AttentionProblem&, const OptionMap&) const override {
    return behaviour_.check;
  }
  int64_t WorkspaceBytes(const AttentionProblem&, const OptionMap&) const override { return 0; }
  absl::StatusOr<std::unique_ptr<Execution>> Prepare(const AttentionCall&) const override {
    steps_.push_back("prepare");
    if (!behaviour_.prepare.ok()) return behaviour_.prepare;
    return std::make_unique<FakeExecution>(behaviour_, &steps_);
  }

 private:
  BackendInfo info_;
  FakeBehaviour behaviour_;
  mutable std::vector<std::string> steps_;
};

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_CORE_FAKE_BACKEND_H_
