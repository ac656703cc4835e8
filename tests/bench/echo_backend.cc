#include "tests/bench/echo_backend.h"

#include <algorithm>
#include <cstring>

namespace attn {
namespace {

constexpr int64_t kTileBytes = int64_t{1} << 20;

class EchoExecution final : public Execution {
 public:
  explicit EchoExecution(const AttentionCall& call)
      : call_(call), bytes_(ByteSize(call.out.dtype, call.out.layout.element_count())) {}

  int phase_count() const override { return 1; }
  Phase phase(int /*index*/) override {
    return {Stage::kKernel, (bytes_ + kTileBytes - 1) / kTileBytes};
  }
  absl::Status RunTile(int /*phase*/, int64_t tile, Scratch& /*scratch*/) override {
    const int64_t begin = tile * kTileBytes;
    std::memcpy(call_.out.data + begin, call_.q.data + begin,
                static_cast<size_t>(std::min(kTileBytes, bytes_ - begin)));
    return absl::OkStatus();
  }
  absl::StatusOr<RunResult> Finish() override { return RunResult{}; }

 private:
  const AttentionCall& call_;
  const int64_t bytes_;
};

class EchoBackend final : public Backend {
 public:
  EchoBackend() {
    info_.name = "flash";
    info_.device = "cpu";
    info_.method = "echo";
    info_.engine = "memcpy";
    info_.precision = "none";
    info_.capabilities.max_head_dim = 256;
    info_.capabilities.dtypes = {DType::kFloat32};
    info_.capabilities.features = {Feature::kScale};
  }

  const BackendInfo& info() const override { return info_; }
  int64_t WorkspaceBytes(const AttentionProblem& /*problem*/, const OptionMap&) const override {
    return 0;
  }
  absl::StatusOr<std::unique_ptr<Execution>> Prepare(const AttentionCall& call) const override {
    return std::make_unique<EchoExecution>(call);
  }

 private:
  BackendInfo info_;
};

}  // namespace

std::unique_ptr<Backend> CreateEchoBackend() { return std::make_unique<EchoBackend>(); }

}  // namespace attn
