#include "kernels/plugins/plugin_host.h"

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "kernels/core/capabilities.h"
#include "kernels/plugins/plugin_call.h"
#include "kernels/plugins/plugin_options.h"

namespace attn {
namespace {

// Answers of the readers of options.
constexpr int32_t kSet = 1;
constexpr int32_t kNotSet = 0;
constexpr int32_t kUnknown = -1;

const PluginCall& CallOf(const attn_call* call) {
  return *static_cast<const PluginCall*>(call->host_data);
}

int32_t HostUses(const attn_problem* problem, const char* feature) {
  const std::optional<Feature> known = FeatureFromName(feature);
  if (!known) return kUnknown;
  return Uses(*static_cast<const AttentionProblem*>(problem->host_data), *known) ? kSet : kNotSet;
}

// `take` is given the value where there is one.
template <typename Take>
int32_t ReadOption(const attn_options* options, const char* name, OptionType type, Take take) {
  const std::optional<const OptionValue*> read =
      options->declared->Read(*options->given, name, type);
  if (!read) return kUnknown;
  if (*read == nullptr) return kNotSet;
  return take((*read)->value);
}

int32_t HostGetBool(const attn_options* options, const char* name, int32_t* value) {
  return ReadOption(options, name, OptionType::kBool, [value](const auto& given) {
    *value = std::get<bool>(given) ? 1 : 0;
    return kSet;
  });
}

int32_t HostGetInt(const attn_options* options, const char* name, int64_t* value) {
  return ReadOption(options, name, OptionType::kInt, [value](const auto& given) {
    *value = std::get<int64_t>(given);
    return kSet;
  });
}

int32_t HostGetDouble(const attn_options* options, const char* name, double* value) {
  return ReadOption(options, name, OptionType::kFloat, [value](const auto& given) {
    // An integer is taken where a float is declared.
    const auto* integer = std::get_if<int64_t>(&given);
    *value = integer != nullptr ? static_cast<double>(*integer) : std::get<double>(given);
    return kSet;
  });
}

int32_t HostGetString(const attn_options* options, const char* name, const char** value) {
  return ReadOption(options, name, OptionType::kString, [value](const auto& given) {
    *value = std::get<std::string>(given).c_str();
    return kSet;
  });
}

int32_t HostGetTensor(const attn_call* call, const char* name, attn_tensor* tensor) {
  return ReadOption(call->options, name, OptionType::kTensor, [&](const auto& given) {
    const TensorMap& tensors = CallOf(call).call().extra;
    const auto found = tensors.find(std::get<TensorName>(given).name);
    if (found == tensors.end()) return kNotSet;
    *tensor = ToPlugin(found->second);
    return kSet;
  });
}

attn_status HostVisibleKeys(const attn_call* call, int64_t b, int64_t q, int64_t* begin,
                            int64_t* end) {
  const PluginCall& self = CallOf(call);
  if (!self.HasQuery(b, q)) return ATTN_INVALID_ARGUMENT;
  const KeyInterval keys = self.call().problem.mask.VisibleKeys(b, q);
  *begin = keys.empty() ? 0 : keys.begin;
  *end = keys.empty() ? 0 : keys.end;
  return ATTN_OK;
}

attn_status HostMaskRow(const attn_call* call, int64_t b, int64_t head, int64_t q,
                        int64_t key_begin, int64_t key_count, uint8_t* visible) {
  const PluginCall& self = CallOf(call);
  const AttentionProblem& problem = self.call().problem;
  const bool has_keys = key_begin >= 0 && key_count >= 0 && key_begin <= problem.key_len &&
                        key_count <= problem.key_len - key_begin;
  if (!self.HasQuery(b, q) || head < 0 || head >= problem.heads || !has_keys) {
    return ATTN_INVALID_ARGUMENT;
  }
  self.MaskRow(b, head, q, key_begin, key_count, visible);
  return ATTN_OK;
}

attn_status HostEndAlignedKey(const attn_call* call, int64_t b, int64_t q, int64_t* key) {
  const PluginCall& self = CallOf(call);
  if (!self.HasQuery(b, q)) return ATTN_INVALID_ARGUMENT;
  *key = self.call().problem.mask.EndAlignedKey(b, q);
  return ATTN_OK;
}

int32_t HostIsPadding(const attn_call* call, int64_t b, int64_t q) {
  const PluginCall& self = CallOf(call);
  if (!self.HasQuery(b, q)) return kUnknown;
  const std::vector<int64_t>& lengths = self.call().problem.mask.spec().q_lengths;
  return !lengths.empty() && q >= lengths[static_cast<size_t>(b)] ? kSet : kNotSet;
}

constexpr attn_host kHost = {
    .struct_size = sizeof(attn_host),
    .abi_version = ATTN_PLUGIN_ABI_VERSION,
    .reserved = 0,
    .uses = HostUses,
    .get_bool = HostGetBool,
    .get_int = HostGetInt,
    .get_double = HostGetDouble,
    .get_string = HostGetString,
    .get_tensor = HostGetTensor,
    .visible_keys = HostVisibleKeys,
    .mask_row = HostMaskRow,
    .end_aligned_key = HostEndAlignedKey,
    .is_padding = HostIsPadding,
};

}  // namespace

const attn_host& PluginHost() { return kHost; }

}  // namespace attn
