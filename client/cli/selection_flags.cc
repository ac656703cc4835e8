#include "client/cli/selection_flags.h"

#include "absl/strings/str_split.h"
#include "client/cli/parse_values.h"
#include "kernels/core/status_macros.h"
#include "server/transport/proto_conversion.h"

namespace attn::cli {

void AddSelectionFlags(CLI::App& command, SelectionFlags& flags) {
  CLI::Option_group& group = *command.add_option_group("Selection");
  group.add_option("--backend", flags.backend, "Backend by name or alias, or auto")
      ->type_name("NAME");
  group.add_option("--allowed", flags.allowed, "Restricts automatic selection and fallbacks")
      ->type_name("NAME,...");
  group
      .add_option("--option", flags.options,
                  "Option of the backend, repeatable: block=64, mode=topk, "
                  "ratios='[0.5, 1]', mask='{\"tensor\": \"m\"}'")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  group.add_option("--model", flags.model, "Model whose preset applies");
  group.add_option("--preset", flags.preset, "Preset of that model; default: the model's own");
  group.add_option("--scope", flags.scope_id, "Scope that steers the call; default: ATTN_SCOPE")
      ->type_name("ID");
  group.add_flag("--allow_fallback", flags.allow_fallback,
                 "If the named backend cannot serve the call, the next rule decides");
  group.add_flag("--allow_approximate", flags.allow_approximate,
                 "Automatic selection may choose a sparse or quantised backend");
}

absl::Status Apply(const SelectionFlags& flags, attention::v1::AttendRequest* request) {
  if (!flags.backend.empty()) request->set_backend(flags.backend);
  if (!flags.allowed.empty()) {
    for (const absl::string_view name : absl::StrSplit(flags.allowed, ',')) {
      request->add_allowed_backends(std::string(name));
    }
  }
  ATTN_ASSIGN_OR_RETURN(const OptionMap options, ParseOptions("--option", flags.options));
  ToProto(options, request->mutable_options());
  if (!flags.model.empty()) request->set_model(flags.model);
  if (!flags.preset.empty()) request->set_preset(flags.preset);
  if (!flags.scope_id.empty()) request->set_scope_id(flags.scope_id);
  if (flags.allow_fallback) request->set_allow_fallback(true);
  if (flags.allow_approximate) request->set_allow_approximate(true);
  return absl::OkStatus();
}

}  // namespace attn::cli
