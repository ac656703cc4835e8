// Flags that say in which order the axes of q, k and v stand.
#ifndef ATTN_CLIENT_CLI_LAYOUT_FLAGS_H_
#define ATTN_CLIENT_CLI_LAYOUT_FLAGS_H_

#include <cstdint>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/strings/string_view.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn::cli {

struct LayoutFlags {
  std::string pattern;
  std::string q_pattern;
  std::string k_pattern;
  std::string v_pattern;
  int64_t heads = 0;
  int64_t kv_heads = 0;

  // The pattern of `q`, `k` or `v`: its own, else the common one; empty = the contract's default.
  const std::string& PatternOf(absl::string_view tensor) const;
  // 0 = not given.
  int64_t HeadsOf(absl::string_view tensor) const { return tensor == "q" ? heads : kv_heads; }
  bool empty() const;
};

// Which of `q`, `k` and `v` the tensor `name` lies like: of replicated tokens theirs; empty = none.
std::string OperandOf(absl::string_view name, const attention::v1::ReplicatedTokens& replicated);

// `flags` outlives `command`.
void AddLayoutFlags(CLI::App& command, LayoutFlags& flags);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_LAYOUT_FLAGS_H_
