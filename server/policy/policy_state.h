// What steers selection: the forced override, the environment's choice, scopes, quarantine and
// presets. Operators and callers change it while calls select.
#ifndef ATTN_SERVER_POLICY_POLICY_STATE_H_
#define ATTN_SERVER_POLICY_POLICY_STATE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
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
  absl::Time next_expiry = absl::InfiniteFuture();  // Of the scopes, the earliest.
  std::optional<NamedChoice> forced;
  std::optional<NamedChoice> environment;
  std::map<std::string, QuarantineRecord, std::less<>> quarantined;  // By canonical name.
  std::shared_ptr<const PresetTable> presets =
      std::make_shared<const PresetTable>();  // Never null.
  // Names that ResolveBackendName takes beside ours; those of the start. Never null.
  std::shared_ptr<const std::vector<std::string>> own_backends =
      std::make_shared<const std::vector<std::string>>();
};

// Both are shown to people in one line of a table.
inline constexpr size_t kMaxScopeHolderBytes = 128;
inline constexpr size_t kMaxQuarantineReasonBytes = 256;

struct PolicyLimits {
  // Open at once of each kind, so that callers leave operators theirs; a scope is a few hundred
  // bytes and one stream.
  int max_scopes = 1024;
  absl::Duration max_time_to_live = absl::Hours(24);
};

// Thread-safe. Readers take a snapshot (one pointer copy under a lock) and never wait for a
// change to finish.
class PolicyState {
 public:
  using Clock = std::function<absl::Time()>;  // Called from any thread.

  // `environment_backend` is the value of ATTN_BACKEND, empty for none; an unknown or never
  // served name is the error that stops the start. `presets` may be null for none. `own_backends`
  // are the registry's OwnBackendNames.
  static absl::StatusOr<std::unique_ptr<PolicyState>> Create(
      absl::string_view environment_backend, std::shared_ptr<const PresetTable> presets,
      PolicyLimits limits = {}, Clock clock = absl::Now,
      std::vector<std::string> own_backends = {});

  // Scopes past their time-to-live are not in it.
  std::shared_ptr<const PolicySnapshot> Snapshot() const;

  // Opens a scope, innermost from now on. time_to_live zero = the maximum. RESOURCE_EXHAUSTED at
  // the limit, INVALID_ARGUMENT for an unknown backend, a negative time-to-live or a holder that is
  // long or has control characters.
  absl::StatusOr<Scope> OpenScope(ScopeKind kind, absl::string_view backend,
                                  absl::Duration time_to_live, absl::string_view holder);
  // Ends just that scope, wherever it stands. NOT_FOUND if it has ended.
  absl::Status CloseScope(absl::string_view id);

  // Both return the name in force before, empty for none.
  absl::StatusOr<std::string> SetForced(absl::string_view backend);
  absl::StatusOr<std::string> ClearForced();  // FAILED_PRECONDITION if there is none.

  // Calls that select from now on see these. Null = none.
  void SetPresets(std::shared_ptr<const PresetTable> presets);

  // Both return the canonical name; INVALID_ARGUMENT for `auto` and for a reason that is long or
  // has control characters, since it stands in error texts. Quarantining again replaces the reason,
  // except that an automatic quarantine leaves an operator's as it is: ALREADY_EXISTS. A backend
  // that is not in this build may be quarantined.
  absl::StatusOr<std::string> QuarantineBackend(absl::string_view backend, absl::string_view reason,
                                                bool automatic);
  // FAILED_PRECONDITION if it is not quarantined.
  absl::StatusOr<std::string> ReleaseBackend(absl::string_view backend);

 private:
  PolicyState(PolicyLimits limits, Clock clock,
              std::shared_ptr<const std::vector<std::string>> own_backends);

  // Copies the snapshot in force, lets `change` edit it, publishes it.
  template <typename Change>
  void Publish(Change change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);

  const PolicyLimits limits_;
  const Clock clock_;
  const std::shared_ptr<const std::vector<std::string>> own_backends_;  // As in every snapshot.
  // Held for a whole change, taken before mutex_, which is held only to read or replace the
  // pointer. Of the standard library: ThreadSanitizer cannot see into the system's build of
  // absl::Mutex.
  std::mutex change_mutex_;
  absl::BitGen id_bits_ ABSL_GUARDED_BY(change_mutex_);
  mutable std::mutex mutex_;
  // Mutable: a reader that finds expired scopes replaces it by a copy without them.
  mutable std::shared_ptr<const PolicySnapshot> current_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace attn

#endif  // ATTN_SERVER_POLICY_POLICY_STATE_H_
