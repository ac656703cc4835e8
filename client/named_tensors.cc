#include "client/named_tensors.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/status/statusor.h"
#include "kernels/core/mask_expression.h"
#include "server/transport/mask_conversion.h"

namespace attn {
namespace {

using attention::v1::AttendRequest;
using attention::v1::OptionValue;

class Collector {
 public:
  void Add(const std::string& name) {
    if (name.empty() || std::find(names_.begin(), names_.end(), name) != names_.end()) return;
    names_.push_back(name);
  }

  void AddOption(const OptionValue& value) {
    if (value.has_tensor()) Add(value.tensor());
    for (const OptionValue& element : value.list().values()) AddOption(element);
  }

  void AddMask(const MaskNode& node) {
    for (const std::string& name : TensorsOf(node)) Add(name);
    for (const MaskNode& arg : ArgsOf(node)) AddMask(arg);
  }

  std::vector<std::string> Take() { return std::move(names_); }

 private:
  std::vector<std::string> names_;
};

}  // namespace

std::vector<std::string> NamedTensors(const AttendRequest& request) {
  Collector names;
  if (request.mask().has_expression()) {
    const absl::StatusOr<MaskExpressionSpec> mask = FromProto(request.mask().expression());
    if (mask.ok()) names.AddMask(mask->root);  // Else the server says what is wrong with it.
  }
  names.Add(request.modifiers().bias());
  names.Add(request.modifiers().alibi_slopes());
  names.Add(request.modifiers().sinks());
  names.Add(request.rotary().cos());
  names.Add(request.rotary().sin());
  names.Add(request.replicated().q());
  names.Add(request.replicated().k());
  names.Add(request.replicated().v());
  names.Add(request.skip_scores().sample_weights());
  names.Add(request.gate().tensor());
  std::map<std::string, const OptionValue*> options;  // A protobuf map has no order.
  for (const auto& [key, value] : request.options()) options.emplace(key, &value);
  for (const auto& [key, value] : options) names.AddOption(*value);
  return names.Take();
}

}  // namespace attn
