#include "client/cli/layout_flags.h"

namespace attn::cli {

const std::string& LayoutFlags::PatternOf(absl::string_view tensor) const {
  const std::string& own = tensor == "q" ? q_pattern : tensor == "k" ? k_pattern : v_pattern;
  return own.empty() ? pattern : own;
}

bool LayoutFlags::empty() const {
  return pattern.empty() && q_pattern.empty() && k_pattern.empty() && v_pattern.empty() &&
         heads == 0 && kv_heads == 0;
}

std::string OperandOf(absl::string_view name, const attention::v1::ReplicatedTokens& replicated) {
  if (name == replicated.q()) return "q";
  if (name == replicated.k()) return "k";
  return name == replicated.v() ? "v" : "";
}

void AddLayoutFlags(CLI::App& command, LayoutFlags& flags) {
  CLI::Option_group& group = *command.add_option_group("Layout");
  group
      .add_option("--pattern", flags.pattern,
                  "Axes of q, k and v: 'b s h d', 'b s (h d)'; default: b h s d, packed t h d")
      ->type_name("PATTERN");
  group.add_option("--q_pattern", flags.q_pattern, "Axes of q alone")->type_name("PATTERN");
  group.add_option("--k_pattern", flags.k_pattern, "Axes of k alone")->type_name("PATTERN");
  group.add_option("--v_pattern", flags.v_pattern, "Axes of v alone")->type_name("PATTERN");
  group.add_option("--heads", flags.heads, "Query heads, where a pattern joins them to an axis")
      ->check(CLI::PositiveNumber);
  group.add_option("--kv_heads", flags.kv_heads, "Key and value heads")->check(CLI::PositiveNumber);
}

}  // namespace attn::cli
