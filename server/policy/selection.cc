#include "server/policy/selection.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/core/status_macros.h"
#include "server/policy/call_rules.h"

namespace attn {
namespace {

// A backend that was passed over on the way.
struct Refused {
  Refusal refusal;
  std::optional<absl::StatusCode> code;  // Absent: kept out by the call's own restrictions.
  bool by_name = false;
  const Backend* backend = nullptr;  // Null: not in this build.
};

bool Declares(const Backend& backend, absl::string_view option) {
  const std::span<const OptionSpec> specs = backend.info().options;
  return std::any_of(specs.begin(), specs.end(),
                     [option](const OptionSpec& spec) { return option == spec.name; });
}

// The reason, beginning with the backend's name.
std::string Described(const Refusal& refusal) {
  const std::string& reason = refusal.reason;
  const bool named =
      reason.starts_with(refusal.backend + ":") || reason.starts_with("'" + refusal.backend + "'");
  return named ? reason : absl::StrCat(refusal.backend, ": ", reason);
}

std::string NotInBuild(absl::string_view canonical) {
  return absl::StrCat("'", canonical, "' is not in this build");
}

// Adds a refusal for every backend that `selection` says nothing about.
template <typename ReasonAgainst>
void AddUntold(const Registry& registry, Selection& selection, ReasonAgainst reason_against) {
  const auto untold = [&selection](absl::string_view name) {
    return std::none_of(selection.refused.begin(), selection.refused.end(),
                        [name](const Refusal& refusal) { return refusal.backend == name; });
  };
  for (const Backend* backend : registry.backends()) {
    const std::string& name = backend->info().name;
    if (backend == selection.backend || !untold(name)) continue;
    selection.refused.push_back({name, Rule::kAutomatic, reason_against(*backend)});
  }
  for (const std::string& name : CanonicalBackendNames()) {
    if (registry.Find(name) != nullptr || !untold(name)) continue;
    selection.refused.push_back({name, Rule::kAutomatic, "not in this build"});
  }
}

// One selection under way.
class Selector {
 public:
  Selector(const PolicySnapshot& policy, const Registry& registry, const SelectionRequest& request,
           const AttentionProblem& problem, CallRules rules)
      : policy_(policy),
        registry_(registry),
        request_(request),
        problem_(problem),
        rules_(std::move(rules)) {}

  absl::StatusOr<Selection> Decide();  // Once.
  // Decide for people, with every backend that was not chosen.
  Explanation Explain();  // Once.

 private:
  // Why the call keeps automatic selection from trying `backend`; empty if it does not.
  std::string Exclusion(const Backend& backend) const;
  // The refused backend that `option` was meant for; null where `chosen` must take it.
  const Refused* LeftBehind(const Backend& chosen, absl::string_view option) const;

  absl::Status CanServe(const Backend& backend, const OptionMap& options) const;
  absl::StatusOr<Selection> Serve(const Backend& backend, const RuleChoice& choice,
                                  const OptionMap& fixed) const;
  absl::StatusOr<Selection> ServeNamed(const RuleChoice& choice, const Backend* backend) const;
  absl::StatusOr<Selection> ServeAutomatically(const Backend& backend,
                                               const RuleChoice& choice) const;

  // Notes the backend that the call names if `choice`, a rule above the call's own, displaces it.
  void NoteDisplaced(const RuleChoice& choice);
  absl::StatusOr<Selection> DecideAutomatically(const RuleChoice& choice);
  // Why the call does not let automatic selection take `backend` now, or why that cannot serve it.
  absl::Status CouldServe(const Backend& backend) const;
  // `; could serve it: NAME, ...` after the named backend was refused with `code`; empty where none
  // could, and for a mistake of the call, which is to be corrected and not to be served elsewhere.
  std::string Alternatives(absl::StatusCode code) const;
  absl::Status NothingLeft() const;
  // Moves the refusals into `selection`, saying which options were left out.
  Selection Finish(Selection selection) const;
  // Why a backend of the build that `chosen`, null for none, left untried was not chosen.
  std::string ReasonAgainst(const Backend& backend, const Selection& chosen) const;

  const PolicySnapshot& policy_;
  const Registry& registry_;
  const SelectionRequest& request_;
  const AttentionProblem& problem_;
  const CallRules rules_;
  std::vector<Refused> refused_;
  std::optional<Refused> displaced_;  // Its options are not the chosen backend's business.
};

std::string Selector::Exclusion(const Backend& backend) const {
  const BackendInfo& info = backend.info();
  if (!rules_.Allows(info.name)) return "not among the call's allowed_backends";
  if (!info.exact && !request_.allow_approximate) {
    return "approximate; the call does not set allow_approximate";
  }
  return "";
}

const Refused* Selector::LeftBehind(const Backend& chosen, absl::string_view option) const {
  if (Declares(chosen, option)) return nullptr;
  const auto meant_for = [&](const Refused& refused) {
    return refused.by_name && (refused.backend == nullptr || Declares(*refused.backend, option));
  };
  if (displaced_ && meant_for(*displaced_)) return &*displaced_;
  const auto found = std::find_if(refused_.begin(), refused_.end(), meant_for);
  return found == refused_.end() ? nullptr : &*found;
}

// Every reason why not, under the code of the first.
absl::Status Selector::CanServe(const Backend& backend, const OptionMap& options) const {
  const BackendInfo& info = backend.info();
  absl::StatusCode code = absl::StatusCode::kOk;
  std::vector<std::string> reasons;
  const auto note = [&](const absl::Status& status) {
    if (status.ok()) return;
    if (reasons.empty()) code = status.code();
    reasons.emplace_back(status.message());
  };
  note(backend.Available());
  if (const auto record = policy_.quarantined.find(info.name);
      record != policy_.quarantined.end()) {
    const std::string& reason = record->second.reason;
    note(absl::FailedPreconditionError(
        absl::StrCat("'", info.name, "' is quarantined", reason.empty() ? "" : ": ", reason)));
  }
  note(backend.Supports(problem_));
  absl::Status valid = ValidateOptions(info.name, options, info.options);
  note(valid.ok() ? backend.Check(problem_, options) : valid);
  return absl::Status(code, absl::StrJoin(reasons, "; "));
}

absl::StatusOr<Selection> Selector::Serve(const Backend& backend, const RuleChoice& choice,
                                          const OptionMap& fixed) const {
  Selection selection;
  selection.backend = &backend;
  selection.rule = choice.rule;
  selection.requested = choice.requested;
  selection.scope_id = choice.scope_id;
  if (rules_.preset != nullptr && (rules_.preset->backend == backend.info().name ||
                                   rules_.preset->backend == choice.name.canonical)) {
    selection.preset = absl::StrCat(request_.model, "/", rules_.preset->name);
    selection.options = rules_.preset->options;
  }
  for (const auto& [key, value] : fixed) selection.options.insert_or_assign(key, value);
  for (const auto& [key, value] : request_.options) {
    if (LeftBehind(backend, key) == nullptr) selection.options.insert_or_assign(key, value);
  }
  ATTN_RETURN_IF_ERROR(CanServe(backend, selection.options));
  return selection;
}

absl::StatusOr<Selection> Selector::ServeNamed(const RuleChoice& choice,
                                               const Backend* backend) const {
  if (!choice.never_served.ok()) return choice.never_served;
  if (backend == nullptr) {
    return absl::UnimplementedError(NotInBuild(choice.name.canonical));
  }
  return Serve(*backend, choice, choice.name.options);
}

absl::StatusOr<Selection> Selector::ServeAutomatically(const Backend& backend,
                                                       const RuleChoice& choice) const {
  const auto allowed = rules_.allowed.find(backend.info().name);
  return Serve(backend, choice, allowed != rules_.allowed.end() ? allowed->second : OptionMap());
}

void Selector::NoteDisplaced(const RuleChoice& choice) {
  displaced_.reset();
  if (choice.rule >= Rule::kCall) return;
  for (const RuleChoice& other : rules_.choices) {
    const std::string& name = other.name.canonical;
    if (other.rule != Rule::kCall || other.automatic() || name == choice.name.canonical) continue;
    displaced_ = {{name, Rule::kCall, absl::StrCat("displaced by rule '", Name(choice.rule), "'")},
                  std::nullopt,
                  true,
                  registry_.Find(name)};
  }
}

absl::StatusOr<Selection> Selector::Decide() {
  for (const RuleChoice& choice : rules_.choices) {
    NoteDisplaced(choice);
    if (choice.automatic()) return DecideAutomatically(choice);
    const std::string& name = choice.name.canonical;
    const Backend* backend = registry_.Find(name);
    if (!refused_.empty() && choice.never_served.ok() && !rules_.Allows(name)) {
      refused_.push_back(
          {{name, choice.rule, "a fallback, and not among the call's allowed_backends"},
           std::nullopt,
           true,
           backend});
      continue;
    }
    absl::StatusOr<Selection> selection = ServeNamed(choice, backend);
    if (selection.ok()) return Finish(*std::move(selection));
    const absl::Status& status = selection.status();
    Refusal refusal{name, choice.rule, std::string(status.message())};
    refused_.push_back({std::move(refusal), status.code(), true, backend});
    if (!request_.allow_fallback) {
      return absl::Status(
          status.code(),
          absl::StrCat(Described(refused_.back().refusal), " (rule: ", Name(choice.rule),
                       "; allow_fallback is not set", Alternatives(status.code()), ")"));
    }
  }
  displaced_.reset();
  return DecideAutomatically(RuleChoice());
}

absl::Status Selector::CouldServe(const Backend& backend) const {
  if (const std::string excluded = Exclusion(backend); !excluded.empty()) {
    return absl::FailedPreconditionError(excluded);
  }
  return ServeAutomatically(backend, RuleChoice()).status();
}

std::string Selector::Alternatives(absl::StatusCode code) const {
  if (code == absl::StatusCode::kInvalidArgument) return "";
  std::vector<absl::string_view> names;
  for (const Backend* backend : registry_.backends()) {
    if (CouldServe(*backend).ok()) names.push_back(backend->info().name);
  }
  return names.empty() ? "" : absl::StrCat("; could serve it: ", absl::StrJoin(names, ", "));
}

absl::StatusOr<Selection> Selector::DecideAutomatically(const RuleChoice& choice) {
  for (const Backend* backend : registry_.backends()) {
    Refusal refusal{backend->info().name, Rule::kAutomatic, Exclusion(*backend)};
    if (!refusal.reason.empty()) {
      refused_.push_back({std::move(refusal), std::nullopt, false, backend});
      continue;
    }
    absl::StatusOr<Selection> selection = ServeAutomatically(*backend, choice);
    if (selection.ok()) return Finish(*std::move(selection));
    refusal.reason = std::string(selection.status().message());
    const bool known = std::any_of(refused_.begin(), refused_.end(), [&](const Refused& refused) {
      return refused.backend == backend && refused.refusal.reason == refusal.reason;
    });
    if (known) continue;  // A rule named it, and nothing has changed since.
    refused_.push_back({std::move(refusal), selection.status().code(), false, backend});
  }
  return NothingLeft();
}

absl::Status Selector::NothingLeft() const {
  bool tried = false;
  bool all_invalid = true;
  std::vector<std::string> reasons;
  for (const Refused& refused : refused_) {
    reasons.push_back(Described(refused.refusal));
    if (!refused.code) continue;
    tried = true;
    all_invalid = all_invalid && *refused.code == absl::StatusCode::kInvalidArgument;
  }
  for (const auto& [name, options] : rules_.allowed) {
    const auto tells = [&wanted = name](const Refused& refused) {
      return refused.refusal.backend == wanted;
    };
    const bool told = std::any_of(refused_.begin(), refused_.end(), tells);
    if (!told) reasons.push_back(absl::StrCat("allowed_backends: ", NotInBuild(name)));
  }
  return absl::Status(
      tried && all_invalid ? absl::StatusCode::kInvalidArgument : absl::StatusCode::kUnimplemented,
      absl::StrCat("no backend can serve this call: ", absl::StrJoin(reasons, "; ")));
}

Selection Selector::Finish(Selection selection) const {
  std::map<const Refused*, std::vector<std::string>> left_out;
  for (const auto& [key, value] : request_.options) {
    if (const Refused* refused = LeftBehind(*selection.backend, key)) {
      left_out[refused].push_back(key);
    }
  }
  const auto tell = [&](const Refused& refused) {
    selection.refused.push_back(refused.refusal);
    if (const auto options = left_out.find(&refused); options != left_out.end()) {
      absl::StrAppend(&selection.refused.back().reason,
                      "; options left out: ", absl::StrJoin(options->second, ", "));
    }
  };
  for (const Refused& refused : refused_) tell(refused);
  if (displaced_ && left_out.contains(&*displaced_)) tell(*displaced_);
  return selection;
}

std::string Selector::ReasonAgainst(const Backend& backend, const Selection& chosen) const {
  if (const absl::Status could = CouldServe(backend); !could.ok()) {
    return std::string(could.message());
  }
  // Nothing was chosen: a named backend failed and the call allows no fallback.
  if (chosen.backend == nullptr) return "could serve; the call does not set allow_fallback";
  const std::string& name = chosen.backend->info().name;
  const bool named = std::any_of(
      rules_.choices.begin(), rules_.choices.end(),
      [&](const RuleChoice& choice) { return choice.rule == chosen.rule && !choice.automatic(); });
  return named ? absl::StrCat("could serve; rule '", Name(chosen.rule), "' names '", name, "'")
               : absl::StrCat("could serve; '", name, "' is first in the automatic order");
}

Explanation Selector::Explain() {
  Explanation explanation;
  Selection& selection = explanation.selection;
  if (absl::StatusOr<Selection> decided = Decide(); decided.ok()) {
    selection = *std::move(decided);
  } else {
    explanation.status = decided.status();
    for (const Refused& refused : refused_) selection.refused.push_back(refused.refusal);
  }
  AddUntold(registry_, selection,
            [&](const Backend& backend) { return ReasonAgainst(backend, selection); });
  return explanation;
}

}  // namespace

absl::string_view Name(Rule rule) {
  switch (rule) {
    case Rule::kScope:
      return "scope";
    case Rule::kForced:
      return "forced";
    case Rule::kCall:
      return "call";
    case Rule::kEnvironment:
      return "environment";
    case Rule::kPreset:
      return "preset";
    case Rule::kAutomatic:
      return "automatic";
  }
  return "unknown";
}

absl::Status CheckInBuild(absl::string_view backend, const Registry& registry) {
  ATTN_ASSIGN_OR_RETURN(const ResolvedName name,
                        ResolveBackendName(backend, OwnBackendNames(registry)));
  if (name.canonical == kAutoBackend || registry.Find(name.canonical) != nullptr) {
    return absl::OkStatus();
  }
  return absl::UnimplementedError(NotInBuild(name.canonical));
}

absl::StatusOr<Selection> Select(const PolicySnapshot& policy, const Registry& registry,
                                 const SelectionRequest& request, const AttentionProblem& problem) {
  ATTN_ASSIGN_OR_RETURN(CallRules rules, ReadCallRules(policy, request));
  return Selector(policy, registry, request, problem, std::move(rules)).Decide();
}

Explanation Explain(const PolicySnapshot& policy, const Registry& registry,
                    const SelectionRequest& request, const AttentionProblem& problem) {
  absl::StatusOr<CallRules> rules = ReadCallRules(policy, request);
  if (rules.ok()) {
    return Selector(policy, registry, request, problem, *std::move(rules)).Explain();
  }
  Explanation explanation{rules.status(), {}};
  AddUntold(registry, explanation.selection,
            [](const Backend&) { return "not tried: the call itself is wrong"; });
  return explanation;
}

}  // namespace attn
