// The options that a plug-in's backend declares, and how it reads those of a call.
#ifndef ATTN_KERNELS_PLUGINS_PLUGIN_OPTIONS_H_
#define ATTN_KERNELS_PLUGINS_PLUGIN_OPTIONS_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/core/options.h"
#include "kernels/plugins/attn_plugin.h"
#include "kernels/plugins/plugin_edge.h"

namespace attn {

// Immutable. Lives as long as the library, whose texts its specs point to; outlives its calls.
class PluginOptions {
 public:
  // INVALID_ARGUMENT names the option's member that does not fit.
  static absl::StatusOr<std::unique_ptr<const PluginOptions>> Create(
      const PluginOwner& owner, const attn_option* const* options, size_t count);

  std::span<const OptionSpec> specs() const { return specs_; }

  // What `given` says of the option, else its default; null if there is neither. nullopt if no
  // option of that name and type is declared.
  std::optional<const OptionValue*> Read(const OptionMap& given, absl::string_view name,
                                         OptionType type) const;

 private:
  struct Declared {
    PluginOwner owner;
    attn_option option;
    std::optional<OptionValue> default_value;
  };

  PluginOptions() = default;

  absl::Status Add(const PluginOwner& owner, const attn_option* option, size_t index);
  // Of OptionSpec::check_with; `context` is a Declared.
  static absl::Status Check(const OptionValue& value, const void* context);

  std::vector<std::unique_ptr<const Declared>> declared_;
  std::vector<OptionSpec> specs_;  // Of the same order.
};

}  // namespace attn

#endif  // ATTN_KERNELS_PLUGINS_PLUGIN_OPTIONS_H_
