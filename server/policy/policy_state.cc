#include "server/policy/policy_state.h"

#include <algorithm>
#include <span>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

absl::Time EarliestExpiry(const std::vector<Scope>& scopes) {
  absl::Time earliest = absl::InfiniteFuture();
  for (const Scope& scope : scopes) earliest = std::min(earliest, scope.expires);
  return earliest;
}

absl::StatusOr<NamedChoice> ResolveChoice(absl::string_view requested,
                                          std::span<const std::string> own) {
  ATTN_ASSIGN_OR_RETURN(ResolvedName backend, ResolveBackendName(requested, own));
  return NamedChoice{std::string(requested), std::move(backend)};
}

// Of what quarantine works on: one backend, whatever options an alias fixes.
absl::StatusOr<std::string> ResolveOneBackend(absl::string_view requested,
                                              std::span<const std::string> own) {
  ATTN_ASSIGN_OR_RETURN(ResolvedName backend, ResolveBackendName(requested, own));
  if (backend.canonical == kAutoBackend) {
    return absl::InvalidArgumentError("backend 'auto' names no backend; name one");
  }
  return std::move(backend.canonical);
}

// Of text that stands in tables, logs and error texts.
absl::Status CheckOneLine(absl::string_view field, absl::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, " has ", text.size(), " bytes, at most ", max_bytes, " are allowed"));
  }
  const auto control = std::find_if(text.begin(), text.end(), absl::ascii_iscntrl);
  if (control == text.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, " ", Quoted(text), " has a control character at byte ",
                   control - text.begin(), ", allowed: one line of text without any"));
}

std::string RequestedOrEmpty(const std::optional<NamedChoice>& choice) {
  return choice ? choice->requested : "";
}

}  // namespace

PolicyState::PolicyState(PolicyLimits limits, Clock clock,
                         std::shared_ptr<const std::vector<std::string>> own_backends)
    : limits_(limits), clock_(std::move(clock)), own_backends_(std::move(own_backends)) {}

absl::StatusOr<std::unique_ptr<PolicyState>> PolicyState::Create(
    absl::string_view environment_backend, std::shared_ptr<const PresetTable> presets,
    PolicyLimits limits, Clock clock, std::vector<std::string> own_backends) {
  PolicySnapshot first;
  first.own_backends = std::make_shared<const std::vector<std::string>>(std::move(own_backends));
  if (presets != nullptr) first.presets = std::move(presets);
  if (!environment_backend.empty()) {
    absl::StatusOr<NamedChoice> choice = ResolveChoice(environment_backend, *first.own_backends);
    if (!choice.ok()) {
      return absl::Status(choice.status().code(),
                          absl::StrCat("ATTN_BACKEND: ", choice.status().message()));
    }
    first.environment = *std::move(choice);
  }
  auto state =
      std::unique_ptr<PolicyState>(new PolicyState(limits, std::move(clock), first.own_backends));
  const std::lock_guard lock(state->mutex_);
  state->current_ = std::make_shared<const PolicySnapshot>(std::move(first));
  return state;
}

std::shared_ptr<const PolicySnapshot> PolicyState::Snapshot() const {
  std::shared_ptr<const PolicySnapshot> seen;
  {
    const std::lock_guard lock(mutex_);
    seen = current_;
  }
  const absl::Time now = clock_();
  if (now < seen->next_expiry) return seen;

  auto pruned = std::make_shared<PolicySnapshot>(*seen);
  std::erase_if(pruned->scopes, [now](const Scope& scope) { return scope.expires <= now; });
  pruned->next_expiry = EarliestExpiry(pruned->scopes);
  const std::lock_guard lock(mutex_);
  if (current_ == seen) current_ = pruned;  // Else a change came between; it is newer.
  return pruned;
}

template <typename Change>
void PolicyState::Publish(Change change) {
  auto next = std::make_shared<PolicySnapshot>(*Snapshot());
  change(*next);
  next->next_expiry = EarliestExpiry(next->scopes);
  std::shared_ptr<const PolicySnapshot> replaced = std::move(next);
  const std::lock_guard lock(mutex_);
  current_.swap(replaced);
}

absl::StatusOr<Scope> PolicyState::OpenScope(ScopeKind kind, absl::string_view backend,
                                             absl::Duration time_to_live,
                                             absl::string_view holder) {
  ATTN_ASSIGN_OR_RETURN(NamedChoice choice, ResolveChoice(backend, *own_backends_));
  ATTN_RETURN_IF_ERROR(CheckOneLine("holder", holder, kMaxScopeHolderBytes));
  if (time_to_live < absl::ZeroDuration() || time_to_live > limits_.max_time_to_live) {
    return absl::InvalidArgumentError(absl::StrCat(
        "time_to_live ", absl::FormatDuration(time_to_live), " is out of range, allowed: 0 to ",
        absl::FormatDuration(limits_.max_time_to_live), " (0 = the maximum)"));
  }
  if (time_to_live == absl::ZeroDuration()) time_to_live = limits_.max_time_to_live;

  const std::lock_guard lock(change_mutex_);
  const auto held = Snapshot();
  if (std::count_if(held->scopes.begin(), held->scopes.end(), [kind](const Scope& scope) {
        return scope.kind == kind;
      }) >= limits_.max_scopes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("all ", limits_.max_scopes,
                     kind == ScopeKind::kCalls ? " scopes over calls" : " scopes over the process",
                     " are held; retry when a holder has closed one"));
  }
  Scope scope;
  scope.id = absl::StrCat(absl::Hex(id_bits_(), absl::kZeroPad16),
                          absl::Hex(id_bits_(), absl::kZeroPad16));
  scope.kind = kind;
  scope.requested = std::move(choice.requested);
  scope.backend = std::move(choice.backend);
  scope.holder = std::string(holder);
  scope.opened = clock_();
  scope.expires = scope.opened + time_to_live;
  Publish([&scope](PolicySnapshot& next) { next.scopes.push_back(scope); });
  return scope;
}

absl::Status PolicyState::CloseScope(absl::string_view id) {
  const std::lock_guard lock(change_mutex_);
  const auto is_it = [id](const Scope& scope) { return scope.id == id; };
  const std::shared_ptr<const PolicySnapshot> current = Snapshot();
  if (std::none_of(current->scopes.begin(), current->scopes.end(), is_it)) {
    return absl::NotFoundError(absl::StrCat("scope ", Quoted(id), " is unknown or has ended"));
  }
  Publish([&is_it](PolicySnapshot& next) { std::erase_if(next.scopes, is_it); });
  return absl::OkStatus();
}

absl::StatusOr<std::string> PolicyState::SetForced(absl::string_view backend) {
  ATTN_ASSIGN_OR_RETURN(NamedChoice choice, ResolveChoice(backend, *own_backends_));
  const std::lock_guard lock(change_mutex_);
  std::string previous = RequestedOrEmpty(Snapshot()->forced);
  Publish([&choice](PolicySnapshot& next) { next.forced = std::move(choice); });
  return previous;
}

absl::StatusOr<std::string> PolicyState::ClearForced() {
  const std::lock_guard lock(change_mutex_);
  const std::shared_ptr<const PolicySnapshot> current = Snapshot();
  if (!current->forced) {
    return absl::FailedPreconditionError("there is no forced override to clear");
  }
  Publish([](PolicySnapshot& next) { next.forced.reset(); });
  return RequestedOrEmpty(current->forced);
}

void PolicyState::SetPresets(std::shared_ptr<const PresetTable> presets) {
  if (presets == nullptr) presets = std::make_shared<const PresetTable>();
  const std::lock_guard lock(change_mutex_);
  Publish([&presets](PolicySnapshot& next) { next.presets = std::move(presets); });
}

absl::StatusOr<std::string> PolicyState::QuarantineBackend(absl::string_view backend,
                                                           absl::string_view reason,
                                                           bool automatic) {
  ATTN_ASSIGN_OR_RETURN(std::string canonical, ResolveOneBackend(backend, *own_backends_));
  ATTN_RETURN_IF_ERROR(CheckOneLine("reason", reason, kMaxQuarantineReasonBytes));
  const std::lock_guard lock(change_mutex_);
  const std::shared_ptr<const PolicySnapshot> current = Snapshot();
  const auto held = current->quarantined.find(canonical);
  const bool by_operator = held != current->quarantined.end() && !held->second.automatic;
  if (automatic && by_operator) {
    return absl::AlreadyExistsError(
        absl::StrCat("'", canonical, "' is quarantined by an operator already"));
  }
  Publish([&](PolicySnapshot& next) {
    next.quarantined[canonical] = QuarantineRecord{std::string(reason), automatic};
  });
  return canonical;
}

absl::StatusOr<std::string> PolicyState::ReleaseBackend(absl::string_view backend) {
  ATTN_ASSIGN_OR_RETURN(std::string canonical, ResolveOneBackend(backend, *own_backends_));
  const std::lock_guard lock(change_mutex_);
  if (!Snapshot()->quarantined.contains(canonical)) {
    return absl::FailedPreconditionError(absl::StrCat("'", canonical, "' is not quarantined"));
  }
  Publish([&canonical](PolicySnapshot& next) { next.quarantined.erase(canonical); });
  return canonical;
}

}  // namespace attn
