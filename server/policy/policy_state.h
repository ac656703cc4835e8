// What steers selection: the forced override, the environment's choice, scopes, quarantine and
// presets. Operators and callers change it while calls select.
#ifndef ATTN_SERVER_POLICY_POLICY_STATE_H_
#define ATTN_SERVER_POLICY_POLICY_STATE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/policy/backend_names.h"
#include "server/policy/preset_table.h"

namespace attn {

enum class ScopeKind : uint8_t { kCalls, kProcess };

// An open scoped override.
struct Scope {
  std::string id;  // Unguessable: 128 random bits in hex.
  ScopeKind kind = ScopeKind::kCalls;
  std::string requested;  // As the holder named it.
  ResolvedName backend;
  std::string holder;
  absl::Time opened;
  absl::Time expires;
};

struct QuarantineRecord {
  std::string reason;
  bool automatic = false;
};

// A named choice of rules 2 and 4.
struct NamedChoice {
  std::string requested;
  ResolvedName backend;
};

// One moment of the policy. Immutable; Select reads nothing else.
struct PolicySnapshot {
  std::vector<Scope> scopes;  // Oldest first: the last that applies is the innermost.
  std::optional<NamedChoice> forced;
  std::optional<NamedChoice> environment;
  std::map<std::string, QuarantineRecord, std::less<>> quarantined;  // By canonical name.
  std::shared_ptr<const PresetTable> presets;
};

struct PolicyLimits {
  int max_scopes = 1024;  // Open at once; a scope is a few hundred bytes and one stream.
  absl::Duration max_time_to_live = absl::Hours(24);
};

// Thread-safe. Readers take a snapshot (one pointer copy under a lock) and never wait for a
// change to finish.
class PolicyState {
 public:
  using Clock = std::function<absl::Time()>;

  // `environment_backend` is the value of ATTN_BACKEND, empty for none; an unknown or never
  // served name is the error that stops the start.
  static absl::StatusOr<std::unique_ptr<PolicyState>> Create(
      std::string_view environment_backend, std::shared_ptr<const PresetTable> presets,
      PolicyLimits limits = {}, Clock clock = absl::Now);

  // Scopes past their time-to-live are not in it.
  std::shared_ptr<const PolicySnapshot> Snapshot() const;

  // Opens a scope, innermost from now on. time_to_live zero = the maximum. RESOURCE_EXHAUSTED at
  // the limit, INVALID_ARGUMENT for an unknown backend, a negative time-to-live or a long holder.
  absl::StatusOr<Scope> OpenScope(ScopeKind kind, std::string_view backend,
                                  absl::Duration time_to_live, std::string_view holder);
  // Ends just that scope, wherever it stands. NOT_FOUND if it has ended.
  absl::Status CloseScope(std::string_view id);

  // Both return the name in force before, empty for none.
  absl::StatusOr<std::string> SetForced(std::string_view backend);
  absl::StatusOr<std::string> ClearForced();  // FAILED_PRECONDITION if there is none.

  // Return the canonical name.
  absl::StatusOr<std::string> QuarantineBackend(std::string_view backend, std::string_view reason,
                                                bool automatic);
  absl::StatusOr<std::string> ReleaseBackend(std::string_view backend);

  void ReplacePresets(std::shared_ptr<const PresetTable> presets);

 private:
  PolicyState(PolicyLimits limits, Clock clock);

  // Copies the current snapshot, lets `change` edit it, publishes it.
  template <typename Change>
  void Publish(Change change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const PolicyLimits limits_;
  const Clock clock_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const PolicySnapshot> current_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attn

#endif  // ATTN_SERVER_POLICY_POLICY_STATE_H_
