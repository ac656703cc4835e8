// Flags that say what is done to scores before the softmax.
#ifndef ATTN_CLIENT_CLI_MODIFIER_FLAGS_H_
#define ATTN_CLIENT_CLI_MODIFIER_FLAGS_H_

#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn::cli {

// Texts name tensors.
struct ModifierFlags {
  std::optional<double> scale;
  std::optional<double> softcap;
  std::string bias;
  std::string alibi_slopes;
  std::string sinks;
};

// `flags` outlives `command`.
void AddModifierFlags(CLI::App& command, ModifierFlags& flags);

// Sets what was given and leaves the rest of `request` alone.
absl::Status Apply(const ModifierFlags& flags, attention::v1::AttendRequest* request);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_MODIFIER_FLAGS_H_
