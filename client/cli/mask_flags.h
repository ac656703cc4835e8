// Flags that say which keys each query attends.
#ifndef ATTN_CLIENT_CLI_MASK_FLAGS_H_
#define ATTN_CLIENT_CLI_MASK_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn::cli {

struct MaskFlags {
  bool causal = false;
  std::string alignment;
  std::string window;
  std::string q_lengths;
  std::string k_lengths;
  std::string cu_seqlens_q;
  std::string cu_seqlens_k;
  std::string expression;  // JSON, or @FILE.
  std::optional<int64_t> q_offset;
  std::optional<int64_t> kv_offset;
};

// `flags` outlives `command`.
void AddMaskFlags(CLI::App& command, MaskFlags& flags);

// Sets what was given and leaves the rest of `request` alone.
absl::Status Apply(const MaskFlags& flags, attention::v1::AttendRequest* request);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_MASK_FLAGS_H_
