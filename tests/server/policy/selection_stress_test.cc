// Many threads select while others change the policy. Under ThreadSanitizer this is also the proof
// that snapshots are safe to share.
#include <atomic>
#include <thread>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "server/policy/selection.h"
#include "tests/server/policy/fake_backend.h"

namespace attn {
namespace {

constexpr int kSelectors = 64;
constexpr int kChangers = 4;
constexpr int kSelections = 150;  // A thread.
constexpr int kChanges = 100;     // A thread.

// What the snapshot says must come out for a call that names `eager`.
std::string Expected(const PolicySnapshot& policy, const std::string& scope_id) {
  for (auto scope = policy.scopes.rbegin(); scope != policy.scopes.rend(); ++scope) {
    if (scope->kind == ScopeKind::kProcess || scope->id == scope_id) {
      return scope->backend.canonical;
    }
  }
  return policy.forced ? policy.forced->backend.canonical : "eager";
}

void SelectOften(const PolicyState& state, const Registry& registry, const std::string& scope_id,
                 std::atomic<int>& broken) {
  const SelectionRequest request{.backend = "eager", .scope_id = scope_id};
  const AttentionProblem problem = MakeProblem();
  for (int i = 0; i < kSelections; ++i) {
    const std::shared_ptr<const PolicySnapshot> policy = state.Snapshot();
    const auto selection = Select(*policy, registry, request, problem);
    const std::string expected = Expected(*policy, scope_id);
    const bool quarantined = policy->quarantined.contains(expected);
    const bool right = quarantined ? absl::IsFailedPrecondition(selection.status())
                                   : selection.ok() && selection->backend->info().name == expected;
    if (!right) ++broken;
  }
}

void ChangeOften(PolicyState& state, int which, std::atomic<int>& broken) {
  for (int i = 0; i < kChanges; ++i) {
    switch (which) {
      case 0: {
        const auto outer = state.OpenScope(ScopeKind::kProcess, "psa", absl::Hours(1), "outer");
        const auto inner = state.OpenScope(ScopeKind::kProcess, "SAGE_ATTN", absl::Hours(1), "");
        if (!outer.ok() || !inner.ok() || !state.CloseScope(outer->id).ok() ||
            !state.CloseScope(inner->id).ok()) {
          ++broken;
        }
        break;
      }
      case 1:  // Ends by itself, whoever looks first.
        if (!state.OpenScope(ScopeKind::kCalls, "psa", absl::Nanoseconds(1), "brief").ok()) {
          ++broken;
        }
        break;
      case 2:
        if (!state.SetForced("flash").ok() || !state.ClearForced().ok()) ++broken;
        break;
      default:
        if (!state.QuarantineBackend("sage", "test", false).ok() ||
            !state.ReleaseBackend("sage").ok()) {
          ++broken;
        }
    }
  }
}

TEST(SelectionStress, EverySelectionFollowsFromOneSnapshotWhileThePolicyChanges) {
  const Registry registry = StandardRegistry();
  const auto state = PolicyState::Create("", nullptr).value();
  const std::string first = state->OpenScope(ScopeKind::kCalls, "flash", {}, "a").value().id;
  const std::string second = state->OpenScope(ScopeKind::kCalls, "psa", {}, "b").value().id;
  const std::string ids[] = {"", first, second};

  std::atomic<int> broken = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kChangers; ++i) {
    threads.emplace_back([&, i] { ChangeOften(*state, i, broken); });
  }
  for (int i = 0; i < kSelectors; ++i) {
    threads.emplace_back([&, i] { SelectOften(*state, registry, ids[i % 3], broken); });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(broken, 0);
  const auto after = state->Snapshot();
  EXPECT_EQ(after->scopes.size(), 2u) << "what the changers opened is closed or expired";
  EXPECT_FALSE(after->forced);
  EXPECT_TRUE(after->quarantined.empty());
}

}  // namespace
}  // namespace attn
