#include "server/services/selection_proto.h"

#include <string>

#include "absl/strings/string_view.h"
#include "server/policy/backend_names.h"
#include "server/transport/proto_conversion.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

void Describe(const BackendInfo& info, v1::Backend* to) {
  to->set_device(info.device);
  to->set_method(info.method);
  to->set_engine(info.engine);
  to->set_precision(info.precision);
  to->set_variant(info.variant);
  to->set_exact(info.exact);
  to->set_origin(info.origin);
  to->set_description(info.description);
  const Capabilities& capabilities = info.capabilities;
  to->set_min_head_dim(capabilities.min_head_dim);
  to->set_max_head_dim(capabilities.max_head_dim);
  to->mutable_head_dims()->Assign(capabilities.head_dims.begin(), capabilities.head_dims.end());
  for (const DType dtype : capabilities.dtypes) to->add_dtypes(ToProto(dtype));
  for (const Feature feature : capabilities.features) to->add_features(std::string(Name(feature)));
  for (const OptionSpec& spec : info.options) {
    v1::OptionSpec* option = to->add_options();
    option->set_name(spec.name);
    option->set_type(Name(spec.type));
    option->set_default_value(spec.default_json);
    option->set_allowed(spec.allowed);
    option->set_description(spec.description);
  }
}

void SetNames(absl::string_view canonical, const PolicySnapshot& policy, v1::Backend* to) {
  to->set_name(std::string(canonical));
  for (std::string& alias : AliasesOf(canonical)) to->add_aliases(std::move(alias));
  if (const auto record = policy.quarantined.find(canonical); record != policy.quarantined.end()) {
    to->set_quarantined(true);
    to->set_quarantine_reason(record->second.reason);
  }
}

}  // namespace

// The casts of ToProto below.
static_assert(static_cast<int>(Rule::kScope) == v1::RULE_SCOPE);
static_assert(static_cast<int>(Rule::kForced) == v1::RULE_FORCED);
static_assert(static_cast<int>(Rule::kCall) == v1::RULE_CALL);
static_assert(static_cast<int>(Rule::kEnvironment) == v1::RULE_ENVIRONMENT);
static_assert(static_cast<int>(Rule::kPreset) == v1::RULE_PRESET);
static_assert(static_cast<int>(Rule::kAutomatic) == v1::RULE_AUTOMATIC);

void ToProto(const Selection& selection, v1::Selection* to) {
  if (selection.backend != nullptr) {
    to->set_backend(selection.backend->info().name);
    to->set_device(selection.backend->info().device);
    to->set_rule(static_cast<v1::Rule>(selection.rule));
  }
  to->set_requested(selection.requested);
  to->set_scope_id(selection.scope_id);
  to->set_preset(selection.preset);
  for (const Refusal& refusal : selection.refused) {
    v1::Refusal* refused = to->add_refused();
    refused->set_backend(refusal.backend);
    refused->set_rule(static_cast<v1::Rule>(refusal.rule));
    refused->set_reason(refusal.reason);
  }
}

void ToProto(const Registry& registry, const PolicySnapshot& policy, v1::ListBackendsResponse* to) {
  int rank = 0;
  for (const Backend* backend : registry.backends()) {
    v1::Backend* entry = to->add_backends();
    SetNames(backend->info().name, policy, entry);
    Describe(backend->info(), entry);
    entry->set_cost_rank(rank++);
    const absl::Status available = backend->Available();
    entry->set_available(available.ok());
    entry->set_unavailable_reason(std::string(available.message()));
  }
  for (const std::string& canonical : CanonicalBackendNames()) {
    if (registry.Find(canonical) != nullptr) continue;
    v1::Backend* entry = to->add_backends();
    SetNames(canonical, policy, entry);
    entry->set_unavailable_reason("not in this build");
  }
  for (const MaskFunction* function : registry.mask_functions()) {
    v1::MaskFunction* entry = to->add_mask_functions();
    entry->set_name(function->info().name);
    entry->set_origin(function->info().origin);
    entry->set_description(function->info().description);
  }
}

}  // namespace attn
