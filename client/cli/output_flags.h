// Flags that say what to return.
#ifndef ATTN_CLIENT_CLI_OUTPUT_FLAGS_H_
#define ATTN_CLIENT_CLI_OUTPUT_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn::cli {

struct OutputFlags {
  std::string out_pattern;
  std::string out_dtype;
  bool lse = false;
  bool weights = false;
  bool plan = false;
  std::optional<int64_t> plan_block_q;
  std::optional<int64_t> plan_block_k;
};

// `flags` outlives `command`.
void AddOutputFlags(CLI::App& command, OutputFlags& flags);

// Sets what was given and leaves the rest of `request` alone.
absl::Status Apply(const OutputFlags& flags, attention::v1::AttendRequest* request);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_OUTPUT_FLAGS_H_
