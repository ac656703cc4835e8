// What the selection tests share: named choices, scopes, presets, and answers as text.
#ifndef ATTN_TESTS_SERVER_POLICY_SELECTION_SUPPORT_H_
#define ATTN_TESTS_SERVER_POLICY_SELECTION_SUPPORT_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/policy/selection.h"

namespace attn {

inline NamedChoice Named(const std::string& name) {
  return {name, ResolveBackendName(name).value()};
}

inline Scope MakeScope(const std::string& id, ScopeKind kind, const std::string& backend) {
  return {.id = id, .kind = kind, .requested = backend, .backend = Named(backend).backend};
}

// Model `wan`: presets `dense` (auto, the default), `fast` (psa with ratio 0.25, block_q 32) and
// `int8` (sage with pv fp16, block_q 32).
inline std::shared_ptr<const PresetTable> MakePresets() {
  ModelPresets wan;
  wan.model = "wan";
  wan.default_preset = "dense";
  wan.presets["dense"] = {"dense", "auto", "", {}};
  wan.presets["fast"] = {"fast", "psa", "", {{"ratio", {0.25}}, {"block_q", {int64_t{32}}}}};
  wan.presets["int8"] = {
      "int8", "sage", "", {{"pv", {std::string("fp16")}}, {"block_q", {int64_t{32}}}}};
  return std::make_shared<const PresetTable>(
      std::map<std::string, ModelPresets, std::less<>>{{"wan", wan}});
}

// `scope:psa` and so on: who decided what.
inline std::string Outcome(const absl::StatusOr<Selection>& selection) {
  if (!selection.ok()) return selection.status().ToString();
  return absl::StrCat(Name(selection->rule), ":", selection->backend->info().name);
}

inline std::string Message(const absl::StatusOr<Selection>& selection) {
  return std::string(selection.status().message());
}

}  // namespace attn

#endif  // ATTN_TESTS_SERVER_POLICY_SELECTION_SUPPORT_H_
