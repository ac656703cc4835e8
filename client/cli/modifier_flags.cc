#include "client/cli/modifier_flags.h"

namespace attn::cli {

void AddModifierFlags(CLI::App& command, ModifierFlags& flags) {
  CLI::Option_group& group = *command.add_option_group("Scores");
  group.add_option("--scale", flags.scale, "Factor on the scores; default: head_dim^-0.5");
  group.add_option("--softcap", flags.softcap, "Bound c > 0 of the scores: c*tanh(score/c)");
  group
      .add_option("--bias", flags.bias,
                  "Tensor that is added: batch x heads x queries x keys, or 1 for any of them")
      ->type_name("TENSOR");
  group
      .add_option("--alibi_slopes", flags.alibi_slopes,
                  "Tensor of ALiBi's slopes: heads, or batch x heads")
      ->type_name("TENSOR");
  group.add_option("--sinks", flags.sinks, "Tensor of a score more for every row of a head: heads")
      ->type_name("TENSOR");
}

absl::Status Apply(const ModifierFlags& flags, attention::v1::AttendRequest* request) {
  if (flags.scale.has_value()) request->set_scale(*flags.scale);
  if (flags.softcap.has_value()) request->mutable_modifiers()->set_softcap(*flags.softcap);
  if (!flags.bias.empty()) request->mutable_modifiers()->set_bias(flags.bias);
  if (!flags.alibi_slopes.empty()) {
    request->mutable_modifiers()->set_alibi_slopes(flags.alibi_slopes);
  }
  if (!flags.sinks.empty()) request->mutable_modifiers()->set_sinks(flags.sinks);
  return absl::OkStatus();
}

}  // namespace attn::cli
