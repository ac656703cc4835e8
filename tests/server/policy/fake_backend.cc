#include "tests/server/policy/fake_backend.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace attn {
namespace {

class Fake : public Backend {
 public:
  explicit Fake(FakeBackend fake) : fake_(std::move(fake)) {
    info_.name = fake_.name;
    info_.device = "cpu";
    info_.exact = fake_.exact;
    info_.cost_rank = fake_.cost_rank;
    info_.options = fake_.options;
  }

  const BackendInfo& info() const override { return info_; }
  absl::Status Available() const override { return fake_.available; }
  absl::Status Supports(const AttentionProblem& problem) const override {
    if (problem.head_dim <= fake_.max_head_dim) return absl::OkStatus();
    return absl::UnimplementedError(absl::StrCat(fake_.name, ": head_dim ", problem.head_dim,
                                                 " not supported, supported: 1 to ",
                                                 fake_.max_head_dim));
  }
  absl::Status Check(const AttentionProblem&, const OptionMap&) const override {
    return fake_.check;
  }
  int64_t WorkspaceBytes(const AttentionProblem&, const OptionMap&) const override { return 0; }
  absl::StatusOr<std::unique_ptr<Execution>> Prepare(const AttentionCall&) const override {
    return absl::InternalError("a fake backend runs nothing");
  }

 private:
  FakeBackend fake_;
  BackendInfo info_;
};

absl::Status CheckPv(const OptionValue& value) {
  const auto& text = std::get<std::string>(value.value);
  if (text == "fp16" || text == "fp8") return absl::OkStatus();
  return absl::InvalidArgumentError("allowed: fp16, fp8");
}

}  // namespace

std::span<const OptionSpec> SageOptions() {
  static constexpr OptionSpec kSpecs[] = {
      {"pv", OptionType::kString, "\"fp16\"", "fp16, fp8", "Precision of P and V.", CheckPv},
      {"pv_accum_dtype", OptionType::kString, "", "", "", nullptr},
      {"qk_granularity", OptionType::kString, "", "", "", nullptr},
      {"v_max", OptionType::kFloat, "448", "", "", nullptr},
      {"block_q", OptionType::kInt, "128", "", "", nullptr},
      {"block_k", OptionType::kInt, "64", "", "", nullptr},
      {"warp_q", OptionType::kInt, "32", "", "", nullptr},
  };
  return kSpecs;
}

std::span<const OptionSpec> FlashOptions() {
  static constexpr OptionSpec kSpecs[] = {
      {"block_q", OptionType::kInt, "64", "", "", nullptr},
  };
  return kSpecs;
}

std::span<const OptionSpec> SparseOptions() {
  static constexpr OptionSpec kSpecs[] = {
      {"ratio", OptionType::kFloat, "0.5", "0 to 1", "", nullptr},
      {"block_q", OptionType::kInt, "64", "", "", nullptr},
  };
  return kSpecs;
}

Registry MakeRegistry(std::vector<FakeBackend> backends) {
  std::vector<std::unique_ptr<Backend>> owned;
  for (FakeBackend& backend : backends) owned.push_back(std::make_unique<Fake>(std::move(backend)));
  return Registry::Create(std::move(owned)).value();
}

Registry StandardRegistry() {
  return MakeRegistry({
      {.name = "eager", .cost_rank = 9, .max_head_dim = 512},
      {.name = "psa", .cost_rank = 3, .exact = false, .options = SparseOptions()},
      {.name = "sage", .cost_rank = 2, .exact = false, .options = SageOptions()},
      {.name = "flash", .cost_rank = 1, .options = FlashOptions()},
  });
}

AttentionProblem MakeProblem(int64_t head_dim) {
  AttentionProblem problem;
  problem.batch = 1;
  problem.heads = problem.kv_heads = 2;
  problem.query_len = problem.key_len = 8;
  problem.head_dim = problem.value_dim = head_dim;
  problem.scale = 0.125;
  problem.mask = IntervalMask::Create({}, 1, 8, 8).value();
  return problem;
}

}  // namespace attn
