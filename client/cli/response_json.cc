#include "client/cli/response_json.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/transport/proto_conversion.h"

namespace attn::cli {
namespace {

template <typename Repeated>
Json ListJson(const Repeated& values) {
  Json list = Json::array();
  for (const auto& value : values) list.push_back(value);
  return list;
}

Json DTypeNames(const google::protobuf::RepeatedField<int>& dtypes) {
  Json names = Json::array();
  for (const int dtype : dtypes) {
    const absl::StatusOr<DType> known =
        FromProto("dtypes", static_cast<attention::v1::DataType>(dtype));
    names.push_back(known.ok() ? std::string(Name(*known)) : absl::StrCat("dtype ", dtype));
  }
  return names;
}

Json ToJson(const attention::v1::OptionSpec& option) {
  return {{"name", option.name()},
          {"type", option.type()},
          {"default", option.default_value()},
          {"allowed", option.allowed()},
          {"description", option.description()}};
}

}  // namespace

std::string RuleName(attention::v1::Rule rule) {
  if (rule == attention::v1::RULE_UNSPECIFIED) return "none";
  if (!attention::v1::Rule_IsValid(rule)) return absl::StrCat("rule ", static_cast<int>(rule));
  constexpr absl::string_view kPrefix = "RULE_";
  return absl::AsciiStrToLower(attention::v1::Rule_Name(rule).substr(kPrefix.size()));
}

Json ToJson(const attention::v1::Selection& selection) {
  Json refused = Json::array();
  for (const attention::v1::Refusal& refusal : selection.refused()) {
    // Other words than the contract's: `backend` and `rule` are those of the choice alone.
    refused.push_back({{"name", refusal.backend()},
                       {"by", RuleName(refusal.rule())},
                       {"reason", refusal.reason()}});
  }
  return {{"backend", selection.backend()},     {"rule", RuleName(selection.rule())},
          {"requested", selection.requested()}, {"scope_id", selection.scope_id()},
          {"device", selection.device()},       {"preset", selection.preset()},
          {"refused", std::move(refused)}};
}

Json ToJson(const attention::v1::CallMetrics& metrics) {
  Json json = {{"queue_ns", metrics.queue_ns()},
               {"decode_ns", metrics.decode_ns()},
               {"plan_ns", metrics.plan_ns()},
               {"kernel_ns", metrics.kernel_ns()},
               {"encode_ns", metrics.encode_ns()},
               {"total_ns", metrics.total_ns()},
               {"sparsity", metrics.sparsity()},
               {"computed_flops", metrics.computed_flops()},
               {"effective_flops", metrics.effective_flops()},
               {"request_bytes", metrics.request_bytes()},
               {"response_payload_bytes", metrics.response_payload_bytes()}};
  if (metrics.has_block_sparsity()) json["block_sparsity"] = metrics.block_sparsity();
  return json;
}

Json ToJson(const attention::v1::Backend& backend) {
  Json options = Json::array();
  for (const attention::v1::OptionSpec& option : backend.options()) {
    options.push_back(ToJson(option));
  }
  return {{"name", backend.name()},
          {"aliases", ListJson(backend.aliases())},
          {"available", backend.available()},
          {"unavailable_reason", backend.unavailable_reason()},
          {"quarantined", backend.quarantined()},
          {"quarantine_reason", backend.quarantine_reason()},
          {"device", backend.device()},
          {"method", backend.method()},
          {"engine", backend.engine()},
          {"precision", backend.precision()},
          {"variant", backend.variant()},
          {"exact", backend.exact()},
          {"cost_rank", backend.cost_rank()},
          {"min_head_dim", backend.min_head_dim()},
          {"max_head_dim", backend.max_head_dim()},
          {"head_dims", ListJson(backend.head_dims())},
          {"dtypes", DTypeNames(backend.dtypes())},
          {"features", ListJson(backend.features())},
          {"options", std::move(options)}};
}

Json ToJson(const attention::v1::GetPolicyResponse& policy) {
  Json scopes = Json::array();
  for (const attention::v1::Scope& scope : policy.scopes()) {
    scopes.push_back({{"scope_id", scope.scope_id()},
                      {"process", scope.process()},
                      {"backend", scope.backend()},
                      {"holder", scope.holder()},
                      {"age_ms", scope.age_ms()},
                      {"time_left_ms", scope.time_left_ms()}});
  }
  Json quarantines = Json::array();
  for (const attention::v1::Quarantine& quarantine : policy.quarantines()) {
    quarantines.push_back({{"backend", quarantine.backend()},
                           {"reason", quarantine.reason()},
                           {"automatic", quarantine.automatic()}});
  }
  return {{"forced_backend", policy.forced_backend()},
          {"environment_backend", policy.environment_backend()},
          {"scopes", std::move(scopes)},
          {"quarantines", std::move(quarantines)},
          {"automatic_order", ListJson(policy.automatic_order())},
          {"presets", ListJson(policy.presets())},
          {"draining", policy.draining()}};
}

}  // namespace attn::cli
